"""A host created by another resource, then an image for it, then an application that runs the image."""

import pulumi
from controller import Application
from host import Host

import pulumi_iofog as iofog

config = pulumi.Config()
agent = config.require("agent")  # its name on the Controller

# A stand-in for whatever creates your hosts: a virtual machine, a pulumi-command that provisions a board, …
host = Host("gateway-host", address=config.require("address"))

image = iofog.OfflineImage(
    "gateway",
    x86=config.require("image"),
    agents=[
        iofog.AgentArgs(
            name=agent,
            host=host.address,  # not known in the first preview, which is fine
            user=config.get("user"),
            private_key_file=config.get("privateKeyFile"),
            known_hosts_file=config.get("knownHostsFile"),
        )
    ],
)

# Created after the image is on the host, as it needs the catalog item; for the same reason, deleted before it.
application = Application(
    "plant",
    catalog_item_id=image.catalog_item_id,
    agent=agent,
    endpoint=pulumi.Config("iofog").require("endpoint"),
    email=pulumi.Config("iofog").require("email"),
    password=pulumi.Config("iofog").require_secret("password"),
)

pulumi.export("catalog_item_id", image.catalog_item_id)
pulumi.export("microservice", application.microservice)
