// The event socket where the service manager passes none: the same group and the same buffer as its unit asks for.
import { explain, LaresError } from '../../lib/errors.ts';
import { openNetfilter, setReceiveBuffer } from '../../lib/sys/netlink.ts';

/** The group "destroyed" alone (nfnetlink_compat.h): no other event has counters. */
const destroyed = 4;
const bufferBytes = 32 * 1_048_576;

/** @throws LaresError E_TRAFFIC_SOCKET, with the system's error as its cause */
export function openEvents(): number {
  try {
    const fd = openNetfilter(destroyed);
    setReceiveBuffer(fd, bufferBytes);
    return fd;
  } catch (error) {
    throw new LaresError(
      'E_TRAFFIC_SOCKET',
      `cannot hear of connections: ${explain(error)}; that needs root, or CAP_NET_ADMIN`,
      { cause: error },
    );
  }
}
