"""What the tests of the cluster share: `pytestmark` of each says that it starts servers."""

from tests.kit.redis_server import own_redis, shared_redis

__all__ = ["own_redis", "shared_redis"]
