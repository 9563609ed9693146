"""A Pulumi program that deploys every OfflineImage document of the YAML files named in ``iofog:manifests``:

pulumi config set --path 'iofog:manifests[0]' images/gateway.yaml
"""

import pulumi

import pulumi_iofog as iofog
from pulumi_iofog.inputs.iofogctl_document import read_documents

HOW = "name the files of your OfflineImage documents, one by one: pulumi config set --path 'iofog:manifests[0]' FILE"


def manifests() -> list[str]:
    """The files of ``iofog:manifests``. Raises RunError if it is no list of at least one."""
    try:
        files = pulumi.Config("iofog").get_object("manifests")
    except pulumi.ConfigTypeError:
        files = "text"
    if not files:
        raise pulumi.RunError(f"iofog:manifests is not set: {HOW}")
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise pulumi.RunError(
            f"iofog:manifests is not a list. First remove it (pulumi config rm iofog:manifests); {HOW}"
        )
    return files


try:
    documents = read_documents(*manifests())
except iofog.IofogError as problem:
    raise pulumi.RunError(str(problem)) from None
items = {document.name: iofog.OfflineImage(document.name, **document.inputs) for document in documents}

pulumi.export("catalog_item_ids", {name: item.catalog_item_id for name, item in items.items()})
