import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type DockerShell, dockerShell, refusal, runRefusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker run`, `ps` and the life of containers: what the stock CLI shows, as against a Docker Engine. */

let slipway: Slipway;
let docker: DockerShell;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  docker = dockerShell(slipway);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

describe('run exits with', () => {
  it.each([
    ['the code of the command', `run --rm busybox sh -c 'exit 3'`, 3],
    ['127 when the command is not found', 'run --rm busybox nosuch', 127],
    ['126 when the command is a directory', 'run --rm busybox /etc', 126],
    ['126 when the command is not executable', 'run --rm busybox /etc/passwd', 126],
    ['125 when the engine refuses', 'run --rm --memory 1m busybox true', 125],
    ['125 when the CLI refuses', 'run --rm --nosuch busybox true', 125],
  ])('%s', async (_, line, code) => {
    expect((await docker.run(line)).code).toBe(code);
  });
});

describe('a container has', () => {
  it.each([
    ['a user', '-u 1000:1001', 'id', 'uid=1000 gid=1001 groups=1001'],
    ['more groups', '-u 1000 --group-add 55', 'id', 'uid=1000 gid=0(root) groups=0(root),55'],
    ['a directory to work in, made for it', '-w /made/here', 'pwd', '/made/here'],
    ['variables', '-e A=1 -e EMPTY=', 'echo $A-$EMPTY-$HOME', '1--/root'],
    ['a host name', '--hostname foo.bar', 'hostname; cat /etc/hostname', 'foo.bar\nfoo.bar'],
    ['a domain', '--hostname foo --domainname example', 'hostname -f', 'foo.example'],
    ['more hosts', '--add-host db:192.0.2.1', 'grep -w db /etc/hosts', '192.0.2.1\tdb'],
    ['servers for names', '--dns 192.0.2.53', 'cat /etc/resolv.conf', 'nameserver 192.0.2.53'],
    ['a sign that it is one', '', 'ls /.dockerenv', '/.dockerenv'],
    ['devices', '--device /dev/null:/dev/foo', 'test -c /dev/foo && echo yes', 'yes'],
    ['shared memory', '--shm-size 1m', `df -k /dev/shm | awk 'NR==2 {print $2}'`, '1024'],
    ['limits of its processes', '--ulimit nofile=100:200', 'ulimit -Sn; ulimit -Hn', '100\n200'],
    ['settings of the kernel', '--sysctl net.core.somaxconn=77', 'cat /proc/sys/net/core/somaxconn', '77'],
    [
      'no view of the host’s kernel',
      '',
      'ls /sys/firmware | wc -l; cat /proc/keys /proc/timer_list | wc -c; (: >/proc/sys/kernel/domainname) 2>&1 | grep -c Read-only',
      '0\n0\n1',
    ],
    ['an init', '--init', 'cat /proc/1/comm', 'docker-init'],
    ['nothing but its entry point', '--entrypoint /bin/pwd', '', '/'],
    [
      'a temporary file system',
      '--tmpfs /t:size=1m,mode=1770',
      `stat -c %a /t; df -k /t | awk 'NR==2 {print $2}'`,
      '1770\n1024',
    ],
  ])('%s', async (_, options, command, shown) => {
    const words = command === '' ? [] : ['sh', '-c', command];
    const result = await slipway.docker([
      'run',
      '--rm',
      ...options.split(' ').filter(Boolean),
      'busybox',
      ...words,
    ]);
    expect(result).toEqual({ code: 0, stdout: `${shown}\n`, stderr: '' });
  });

  it('a root that is read-only when asked for', async () => {
    const result = await docker.run(`run --rm --read-only --tmpfs /t busybox sh -c 'touch /t/x && touch /x'`);
    expect(result).toMatchObject({ code: 1, stderr: 'touch: /x: Read-only file system\n' });
  });

  it.each([
    ['', '00000000a80425fb'],
    ['--cap-drop ALL', '0000000000000000'],
    ['--cap-drop ALL --cap-add NET_ADMIN', '0000000000001000'],
    ['--cap-add NET_ADMIN --cap-drop CHOWN', '00000000a80435fa'],
    ['--user 1000', '0000000000000000'],
  ])('Docker’s capabilities with %j', async (options, effective) => {
    const shown = await docker.ok(`run --rm ${options} busybox grep CapEff /proc/self/status`);
    expect(shown).toBe(`CapEff:\t${effective}`);
  });

  it('a seccomp filter unless told otherwise, and gains no privileges when told so', async () => {
    const status = 'busybox grep -E ^(Seccomp|NoNewPrivs): /proc/self/status';
    expect(await docker.ok(`run --rm ${status}`)).toBe('NoNewPrivs:\t0\nSeccomp:\t2');
    expect(
      await docker.ok(
        `run --rm --security-opt seccomp=unconfined --security-opt no-new-privileges ${status}`,
      ),
    ).toBe('NoNewPrivs:\t1\nSeccomp:\t0');
  });

  it('limits that hold', async () => {
    await docker.run('run --name limited --pids-limit 5 busybox true');
    const forks = await docker.run(
      `run --rm --pids-limit 5 busybox sh -c 'for i in 1 2 3 4 5 6 7; do sleep 100 & done'`,
    );
    expect(forks.stderr).toContain("can't fork");
    await docker.run('run --name greedy --memory 16m busybox tail /dev/zero');
    expect(await docker.ok('inspect -f {{.State.OOMKilled}}:{{.State.ExitCode}} greedy')).toBe('true:137');
    await docker.ok('rm limited greedy');
  });
});

describe('the engine refuses', () => {
  beforeAll(() => docker.ok('run -d --name host busybox sleep 1000'));
  afterAll(() => docker.ok('rm -f host'));

  it.each([
    ['--restart always --rm', undefined],
    ['--memory 1m', 'Minimum memory limit allowed is 6MB'],
    [
      '--memory 32m --memory-swap 16m',
      'Minimum memoryswap limit should be larger than memory limit, see usage',
    ],
    ['--memory-swap 16m', 'You should always set the Memory limit when using Memoryswap limit, see usage'],
    ['--cap-add NOPE', 'invalid CapAdd: unknown capability: "CAP_NOPE"'],
    ['--runtime foo', 'unknown or invalid runtime name: foo'],
    ['--ipc foo', 'invalid IPC mode: foo'],
    ['--log-driver nosuch', "logger: no log driver named 'nosuch' is registered"],
    ['--log-opt foo=bar', "unknown log opt 'foo' for json-file log driver"],
    ['--tmpfs ../t', "invalid mount path: '../t' mount path must be absolute"],
    ['--tmpfs /..', "invalid specification: destination can't be '/'"],
    ['--log-opt max-size=huge', "failed to initialize logging driver: invalid size: 'huge'"],
    ['--log-opt max-size=0', 'failed to initialize logging driver: max-size must be a positive number'],
    [
      '--log-opt max-size=1m --log-opt max-file=0',
      'failed to initialize logging driver: max-file cannot be less than 1',
    ],
    ['--log-driver local --log-opt labels=a', "unknown log opt 'labels' for log driver local"],
    [
      '--storage-opt size=1G',
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    ],
    ['--uts host --hostname foo', 'conflicting options: hostname and the UTS mode'],
    ['--network container:host --hostname foo', 'conflicting options: hostname and the network mode'],
    [
      '--network container:host -p 80:80',
      'conflicting options: port publishing and the container type network mode',
    ],
    ['--network container:host --dns 192.0.2.1', 'conflicting options: dns and the network mode'],
    ['--volumes-from nosuch', 'No such container: nosuch'],
    ['--pid container:nosuch', 'No such container: nosuch'],
    ['--workdir relative', "the working directory 'relative' is invalid, it needs to be an absolute path"],
    ['--stop-signal FOO', 'invalid signal: FOO'],
    ['--name b@d', 'Invalid container name (b@d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'],
  ])('%s', async (options, message) => {
    const result = await docker.run(`run ${options.includes('--rm') ? '' : '--rm'} ${options} busybox true`);
    expect(result.code).toBe(125);
    if (message !== undefined) expect(result).toMatchObject({ stdout: '', stderr: runRefusal(message) });
  });

  it('a name that is taken, and tells whose it is', async () => {
    const id = await docker.ok('inspect -f {{.Id}} host');
    const result = await docker.run('run --name host busybox true');
    expect(result).toMatchObject({
      code: 125,
      stderr: runRefusal(
        `Conflict. The container name "/host" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
      ),
    });
  });
});

describe('ps', () => {
  beforeAll(async () => {
    await docker.ok('run --name first --label x=1 --label y busybox true');
    await docker.ok('run -d --name second --label x=2 -v data:/data --expose 99/udp busybox sleep 1000');
    await docker.ok('create --name third --network none busybox sleep 1');
    await docker.run('run --name fourth busybox false');
  });
  afterAll(async () => {
    await docker.ok('rm -f first second third fourth');
    await docker.ok('volume rm data');
  });

  it('shows those that run in a table', async () => {
    const [head, row, ...rest] = (await docker.ok('ps')).split('\n');
    expect(head).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
    expect(row).toMatch(/^[0-9a-f]{12} +busybox +"sleep 1000" +.+ ago +Up .+ +99\/udp +second$/);
    expect(rest).toEqual([]);
  });

  it('shows what a format asks for', async () => {
    const format =
      '{{.Names}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}';
    expect(await slipway.dockerOk('ps', '--all', '--format', format)).toBe(
      [
        'fourth|busybox|"false"|exited||bridge|0',
        'third|busybox|"sleep 1"|created||none|0',
        'second|busybox|"sleep 1000"|running|data|bridge|1',
        'first|busybox|"true"|exited||bridge|0',
      ].join('\n'),
    );
  });

  it.each([
    ['status=running', 'second'],
    ['status=created', 'third'],
    ['exited=1', 'fourth'],
    ['name=^first$', 'first'],
    ['name=/f', 'fourth first'],
    ['label=x', 'second first'],
    ['label=x=2', 'second'],
    ['ancestor=busybox', 'fourth third second first'],
    ['ancestor=nosuch', ''],
    ['volume=data', 'second'],
    ['volume=/data', 'second'],
    ['network=none', 'third'],
    ['expose=90-100/udp', 'second'],
    ['before=second', 'first'],
    ['since=second', 'fourth third'],
    ['health=none', 'fourth third second first'],
    ['is-task=true', ''],
  ])('--filter %s', async (filter, names) => {
    const shown = await slipway.dockerOk('ps', '-a', '--filter', filter, '--format', '{{.Names}}');
    expect(shown.split('\n').join(' ')).toBe(names);
  });

  it.each([
    ['status=nosuch', "invalid filter 'status=nosuch'"],
    ['exited=x', "invalid filter 'exited=x'"],
    ['health=x', "invalid filter 'health=x'"],
    ['is-task=x', "invalid filter 'is-task=[x]'"],
    ['nosuch=x', "invalid filter 'nosuch'"],
    ['since=nosuch', 'No such container: nosuch'],
  ])('refuses --filter %s', async (filter, message) => {
    expect(await slipway.docker(['ps', '--filter', filter])).toEqual({
      code: 1,
      stdout: '',
      stderr: refusal(message),
    });
  });

  it('shows as many of the latest as asked for', async () => {
    expect(await docker.ok('ps -l --format {{.Names}}')).toBe('fourth');
    expect(await docker.ok('ps -n 2 --format {{.Names}}')).toBe('fourth\nthird');
  });
});

describe('a container that runs', () => {
  beforeAll(async () => {
    await docker.ok(`run -d --name runner busybox sh -c 'trap "exit 3" TERM; while :; do sleep 0.05; done'`);
    await docker.ok('create --name idle busybox true');
  });
  afterAll(() => docker.ok('rm -f runner idle'));

  it('is paused, and then takes no exec', async () => {
    const id = await docker.ok('inspect -f {{.Id}} runner');
    await docker.ok('pause runner');
    expect(await docker.ok('ps --filter name=runner --format {{.Status}}')).toMatch(/^Up .* \(Paused\)$/);
    expect((await docker.run('pause runner')).stderr).toBe(refusal(`container ${id} is already paused`));
    expect((await docker.run('exec runner true')).stderr).toBe(
      refusal(`Container ${id} is paused, unpause the container before exec`),
    );
    await docker.ok('unpause runner');
    expect((await docker.run('unpause runner')).stderr).toBe(refusal(`Container ${id} is not paused`));
  });

  it('is not removed without force', async () => {
    expect(await docker.run('rm runner')).toMatchObject({
      code: 1,
      stderr: refusal(
        'cannot remove container "runner": container is running: stop the container before removing or force remove',
      ),
    });
  });

  it('takes new limits and a new restart policy', async () => {
    await docker.ok('update --memory 64m --memory-swap 128m --restart on-failure:3 runner');
    expect(await docker.ok('inspect -f {{.HostConfig.Memory}}:{{.HostConfig.RestartPolicy}} runner')).toBe(
      '67108864:{on-failure 3}',
    );
    await docker.ok('update --restart no runner');
  });

  it('is renamed', async () => {
    await docker.ok('rename runner racer');
    const failed = (wanted: string, message: string) =>
      expect(docker.run(`rename racer ${wanted}`)).resolves.toEqual({
        code: 1,
        stdout: '',
        stderr: `${refusal(message)}Error: failed to rename container named racer\n`,
      });
    await failed('racer', 'Renaming a container with the same name as its current name');
    await failed(
      'x@',
      'Error when allocating new name: Invalid container name (/x@), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
    );
    await docker.ok('rename racer runner');
  });

  it('is killed with signals that there are', async () => {
    const id = await docker.ok('inspect -f {{.Id}} idle');
    expect((await docker.run('kill -s FOO runner')).stderr).toBe(
      refusal('cannot kill container: runner: invalid signal: FOO'),
    );
    expect((await docker.run('kill nosuch')).stderr).toBe(
      refusal('cannot kill container: nosuch: No such container: nosuch'),
    );
    expect((await docker.run('kill idle')).stderr).toBe(
      refusal(`cannot kill container: idle: container ${id} is not running`),
    );
  });

  it('stops by itself when asked to, twice as well, and starts again', async () => {
    await docker.ok('stop runner');
    expect(await docker.ok('inspect -f {{.State.Status}}:{{.State.ExitCode}} runner')).toBe('exited:3');
    expect(await docker.ok('stop runner')).toBe('runner');
    expect(await docker.ok('restart runner')).toBe('runner');
    expect(await docker.ok('inspect -f {{.State.Status}} runner')).toBe('running');
    await docker.ok('kill runner');
    expect(await docker.ok('wait runner')).toBe('137');
  });

  it('is started again as often as its policy says', async () => {
    await docker.ok(`run -d --name flaky --restart on-failure:2 busybox sh -c 'echo run; exit 1'`);
    await expect
      .poll(() => docker.ok('inspect -f {{.State.Status}}:{{.RestartCount}} flaky'), { timeout: 60_000 })
      .toBe('exited:2');
    expect(await docker.ok('logs flaky')).toBe('run\nrun\nrun');
    await docker.ok('rm flaky');
  });

  it('with --restart always, stays down once it is stopped', async () => {
    await docker.ok('run -d --name eager --restart always busybox sleep 0.1');
    await expect
      .poll(async () => Number(await docker.ok('inspect -f {{.RestartCount}} eager')), { timeout: 60_000 })
      .toBeGreaterThan(0);
    await docker.ok('stop -t 0 eager');
    expect(await docker.ok('ps -q --filter name=eager')).toBe('');
    await docker.ok('rm eager');
  });
});

it('inspect shows what was asked for and no more', async () => {
  await docker.ok('create --name shown --domainname example busybox true');
  expect(await docker.ok(`inspect -f '{{json .HostConfig.PidsLimit}}' shown`)).toBe('null');
  expect(await docker.ok('inspect -f {{.Config.Domainname}} shown')).toBe('example');
  await docker.ok('rm shown');
  expect(await docker.run('inspect nosuch')).toEqual({
    code: 1,
    stdout: '[]\n',
    stderr: 'Error: No such object: nosuch\n',
  });
});
