"""The mesh as a data client of anybody's Nautilus node.

.. code-block:: python

    config = TradingNodeConfig(data_clients={"MESH": MeshDataClientConfig(feed_id="binance")}, …)
    node = TradingNode(config)
    node.add_data_client_factory("MESH", MeshDataClientFactory)
"""

from meshnautilus.config import MeshDataClientConfig, ReplayRange
from meshnautilus.factory import MeshDataClientFactory, factory_with

__all__ = ["MeshDataClientConfig", "MeshDataClientFactory", "ReplayRange", "factory_with"]
