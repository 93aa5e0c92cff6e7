const BASE = 0x400000n;
const HEADERS = 64 + 56;

const SVC = 0xd4000001;
const x = (register: number) => register;
const movz = (register: number, value: number) => 0xd2800000 | (value << 5) | register;
/** `add register, sp, #offset` */
const fromStack = (register: number, offset: number) => 0x91000000 | (offset << 10) | (31 << 5) | register;

/** struct utsname: fields of 65 bytes, `machine` the fifth. */
const MACHINE = 4 * 65;

/** What `uname -m` is, on arm64 alone: prints what kind of machine it runs on. No libraries, no compiler. */
const CODE = [
  0xd1000000 | (400 << 10) | (31 << 5) | 31, // sub sp, sp, #400
  ...[fromStack(x(0), 0), movz(x(8), 160), SVC], // uname(sp)
  ...[movz(x(0), 1), fromStack(x(1), MACHINE), movz(x(2), 'aarch64'.length), movz(x(8), 64), SVC], // write(1, …)
  ...[movz(x(0), 0), movz(x(8), 93), SVC], // exit(0)
];

/** An ELF file with one segment (elf(5)). */
export function unameArm64(): Buffer {
  const file = Buffer.alloc(HEADERS + CODE.length * 4);
  file.write('\x7fELF\x02\x01\x01', 'latin1');
  file.writeUInt16LE(2, 16); // executable
  file.writeUInt16LE(183, 18); // AArch64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BASE + BigInt(HEADERS), 24); // where it starts
  file.writeBigUInt64LE(64n, 32); // program headers
  [64, 56, 1].forEach((value, index) => {
    file.writeUInt16LE(value, 52 + index * 2);
  });
  file.writeUInt32LE(1, 64); // PT_LOAD
  file.writeUInt32LE(5, 68); // to read and to run
  file.writeBigUInt64LE(BASE, 80);
  file.writeBigUInt64LE(BASE, 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(0x1000n, 112);
  CODE.forEach((instruction, index) => {
    file.writeUInt32LE(instruction >>> 0, HEADERS + index * 4);
  });
  return file;
}
