"""A Pulumi program that deploys every OfflineImage document of the YAML files named in ``iofog:manifests``:

pulumi config set --path 'iofog:manifests[0]' images/gateway.yaml
"""

import pulumi

import pulumi_iofog as iofog
from pulumi_iofog.manifest import read_documents

documents = [
    document for path in pulumi.Config("iofog").require_object("manifests") for document in read_documents(path)
]
items = {document.name: iofog.OfflineImage(document.name, **document.inputs) for document in documents}

pulumi.export("catalog_item_ids", {name: item.catalog_item_id for name, item in items.items()})
