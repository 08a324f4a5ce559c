"""The front: everything that is not plain UDP is ended here, and carried to the media workers over the kernel's loopback."""
