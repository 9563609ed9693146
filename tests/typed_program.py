"""Ways to write arguments that a user's type checker must take; run by mypy only."""

import pulumi

import pulumi_iofog as iofog

vm_ip = pulumi.Output.from_input("10.0.0.1")
names: list[str] = ["a", "b"]
args_list: list[iofog.AgentArgs] = [iofog.AgentArgs(name="x", host=vm_ip, port=pulumi.Output.from_input(22))]
dicts: list[iofog.AgentArgsDict] = [{"name": "x", "host": vm_ip}]
iofog.OfflineImage("a", x86="a:1", agents=names)
iofog.OfflineImage("a", x86="a:1", agents=args_list)
iofog.OfflineImage("a", x86="a:1", agents=dicts)
iofog.OfflineImage("a", x86="a:1", agents=["e", {"name": "f"}, iofog.AgentArgs(name="g")])
iofog.OfflineImage("a", x86=vm_ip, agents=pulumi.Output.from_input(names), controller={"endpoint": vm_ip})
iofog.OfflineImage("a", x86="a:1", agents=("a", "b"), controller=False)
iofog.OfflineImage("a", x86="a:1", agents="edge-1")  # type: ignore[arg-type]
iofog.OfflineImageSet("a", images={}, agents="edge-1")  # type: ignore[arg-type]
iofog.OfflineImage("a", x86="a:1", agents=names, controller=True)  # type: ignore[arg-type]
s = iofog.OfflineImageSet(
    "s",
    images={"g": {"x86": vm_ip}, "h": iofog.ImageArgs(arm="x")},
    agents=names,
    auth={"username": "u", "password": vm_ip},
)
x: pulumi.Output[int] = s.images["g"].catalog_item_id
imgs: dict[str, iofog.ImageArgs] = {"g": iofog.ImageArgs(x86="x")}
iofog.OfflineImageSet("s", images=imgs, agents=names)
imgd: dict[str, iofog.ImageArgsDict] = {"g": {"x86": "x"}}
iofog.OfflineImageSet("s", images=imgd, agents=names)
iofog.OfflineImageSet("s", images={k: {"x86": v} for k, v in {"a": "b"}.items()}, agents=names)
