import { invalid } from '#errors/errors.ts';
import { absolutePath } from '../../files/root-path.ts';
import type { SourceOp } from '../../llb/op.ts';

/** What a git source asks for. */
export interface GitRequest {
  /** As git takes it. */
  readonly remote: string;
  readonly host: string;
  /** A branch, a tag, a full ref or a commit; empty: the default branch. */
  readonly ref: string;
  /** Relative; empty: all of it. */
  readonly subdir: string;
  /** Beginning of the commit that it has to be. */
  readonly checksum: string;
  readonly keepGitDir: boolean;
  readonly submodules: boolean;
  /** The commit is the checksum: the ref need not be looked up, nor lead to it any more. */
  readonly fetchByCommit: boolean;
  /** Files are as old as the commit. */
  readonly commitTimes: boolean;
  /** Secrets that may hold a token or a header, tried for the host first. */
  readonly tokenSecret: string;
  readonly headerSecret: string;
  readonly agent: string;
  readonly knownHosts: string;
}

const TRANSPORTS = ['https:', 'http:', 'ssh:', 'git:'];
/** `git@github.com:moby/buildkit.git`: none of it can be taken for an option or another transport. */
const SCP_LIKE = /^[A-Za-z0-9_][A-Za-z0-9_.-]*@([A-Za-z0-9][A-Za-z0-9.-]*):(?!\/\/)[^\s]+$/;
const HEX = /^[0-9a-fA-F]+$/;

export function isCommit(ref: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref);
}

/** Throws `invalid`. */
export function parseGitSource({ identifier, attrs }: SourceOp): GitRequest {
  if (attrs['git.bundle'] || attrs['git.checkoutbundle'] || attrs['git.sig.pubkey']) {
    throw invalid('git bundles and signatures are not supported by this builder');
  }
  const text = identifier.slice(identifier.indexOf('://') + 3);
  const [short = '', fragment = ''] = splitAt(text, '#');
  const [ref = '', subdir = ''] = splitAt(fragment, ':');
  const given = attrs['git.fullurl'] || short;
  const remote = /^[a-z]+:\/\//.test(given) || SCP_LIKE.test(given) ? given : `https://${given}`;
  // A ref that begins so would be an option to git.
  if (ref.startsWith('-') || /[\s\0]/.test(ref)) throw invalid(`invalid git ref: ${JSON.stringify(ref)}`);
  const checksum = attrs['git.checksum'] ?? '';
  if (checksum !== '' && !HEX.test(checksum)) {
    throw invalid(`invalid checksum ${checksum} for Git URL, expected hex commit hash`);
  }
  const fetchByCommit = attrs['git.fetchbycommit'] === 'true' && !isCommit(ref);
  if (fetchByCommit && !isCommit(checksum)) {
    throw invalid(
      checksum === ''
        ? 'fetch-by-commit requires a checksum or a commit SHA ref'
        : `fetch-by-commit requires a full commit SHA checksum, got ${JSON.stringify(checksum)}`,
    );
  }
  return {
    remote,
    host: hostOf(remote),
    ref,
    subdir: absolutePath(subdir).slice(1),
    checksum: checksum.toLowerCase(),
    keepGitDir: attrs['git.keepgitdir'] === 'true',
    submodules: attrs['git.skipsubmodules'] !== 'true',
    fetchByCommit,
    commitTimes: attrs['git.mtime'] === 'commit',
    tokenSecret: attrs['git.authtokensecret'] ?? '',
    headerSecret: attrs['git.authheadersecret'] ?? '',
    agent: attrs['git.mountsshsock'] ?? '',
    knownHosts: attrs['git.knownsshhosts'] ?? '',
  };
}

function hostOf(remote: string): string {
  const scp = SCP_LIKE.exec(remote);
  if (scp) return scp[1]!;
  if (!URL.canParse(remote)) throw invalid(`invalid git URL ${JSON.stringify(remote.slice(0, 500))}`);
  const { protocol, host } = new URL(remote);
  if (!TRANSPORTS.includes(protocol) || host === '' || host.startsWith('-')) {
    throw invalid(`unsupported git URL ${JSON.stringify(remote.slice(0, 500))}`);
  }
  return host;
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
