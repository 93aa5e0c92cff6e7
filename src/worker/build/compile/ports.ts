import { DockerfileError } from '../dockerfile/dockerfile-error.ts';

const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'];
const MAX_PORT = 65_535;

/** EXPOSE's `80`, `53/udp`, `8000-8010/tcp` as `port/protocol`, ranges one by one. Throws `DockerfileError`. */
export function parsePorts(specs: readonly string[]): string[] {
  return specs.flatMap((spec) => {
    const [written = '', protocol = 'tcp'] = spec.split('/', 2);
    // `host:container` is allowed, and only the container's side means anything.
    const range = written.slice(written.lastIndexOf(':') + 1);
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (!match || last < first || last > MAX_PORT || first < 1) {
      throw new DockerfileError(`invalid containerPort: ${range}`);
    }
    if (!PROTOCOLS.includes(protocol.toLowerCase())) throw new DockerfileError(`invalid proto: ${protocol}`);
    return Array.from({ length: last - first + 1 }, (_, at) => `${first + at}/${protocol.toLowerCase()}`);
  });
}
