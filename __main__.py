"""A Pulumi program that deploys every OfflineImage document of the YAML files named in ``iofog:manifests``:

pulumi config set --path 'iofog:manifests[0]' images/gateway.yaml
"""

import pulumi

import pulumi_iofog as iofog
from pulumi_iofog.inputs.iofogctl_document import read_documents

try:
    documents = read_documents(*pulumi.Config("iofog").require_object("manifests"))
except iofog.IofogError as problem:
    raise pulumi.RunError(str(problem)) from None
items = {document.name: iofog.OfflineImage(document.name, **document.inputs) for document in documents}

pulumi.export("catalog_item_ids", {name: item.catalog_item_id for name, item in items.items()})
