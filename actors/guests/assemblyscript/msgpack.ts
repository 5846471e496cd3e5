// The part of MessagePack that messages of contracts are made of.

/** How deep a value that is skipped may be nested. */
const DEEPEST = 32;
/** Bytes behind the marker of a float or an integer: f32, f64, u8 to u64, i8 to i64. */
const WIDTHS: StaticArray<u32> = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];

/** Takes values from the front. After the first failure it gives zeros and empty values only. */
export class Reader {
  failed: bool = false;
  private at: u32 = 0;

  constructor(private message: Uint8Array) {}

  map(): u32 {
    const marker = this.number(1);
    if ((marker & 0xf0) == 0x80) return marker & 0x0f;
    if (marker == 0xde || marker == 0xdf) return this.number(2 << (marker - 0xde));
    return this.fail();
  }

  array(): u32 {
    const marker = this.number(1);
    if ((marker & 0xf0) == 0x90) return marker & 0x0f;
    if (marker == 0xdc || marker == 0xdd) return this.number(2 << (marker - 0xdc));
    return this.fail();
  }

  text(): string {
    const marker = this.number(1);
    let length: u32 = 0;
    if ((marker & 0xe0) == 0xa0) length = marker & 0x1f;
    else if (marker >= 0xd9 && marker <= 0xdb) length = this.number(1 << (marker - 0xd9));
    else this.fail();
    const bytes = this.take(length);
    return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length);
  }

  binary(): Uint8Array {
    const marker = this.number(1);
    let length: u32 = 0;
    if (marker >= 0xc4 && marker <= 0xc6) length = this.number(1 << (marker - 0xc4));
    else this.fail();
    return this.take(length);
  }

  /** A value of any kind that is not asked for. */
  skip(deepest: i32 = DEEPEST): void {
    if (this.at >= <u32>this.message.length || deepest == 0) {
      this.fail();
      return;
    }
    const marker: u32 = this.message[this.at];
    let items: u64 = 0;
    if ((marker & 0xf0) == 0x80 || marker == 0xde || marker == 0xdf) items = 2 * <u64>this.map();
    else if ((marker & 0xf0) == 0x90 || marker == 0xdc || marker == 0xdd) items = this.array();
    else if ((marker & 0xe0) == 0xa0 || (marker >= 0xd9 && marker <= 0xdb)) this.text();
    else if (marker >= 0xc4 && marker <= 0xc6) this.binary();
    else if (marker >= 0xca && marker <= 0xd3) this.take(1 + WIDTHS[marker - 0xca]);
    else if (marker < 0x80 || marker >= 0xe0 || marker == 0xc0 || marker == 0xc2 || marker == 0xc3) this.take(1);
    else this.fail(); // extensions are in no contract
    for (; items > 0 && !this.failed; items--) this.skip(deepest - 1);
  }

  /** A big-endian number of at most four bytes. */
  private number(width: u32): u32 {
    const bytes = this.take(width);
    let number: u32 = 0;
    for (let i = 0; i < bytes.length; i++) number = (number << 8) | bytes[i];
    return number;
  }

  private take(length: u32): Uint8Array {
    if (length > <u32>this.message.length - this.at) {
      this.fail();
      return new Uint8Array(0);
    }
    const taken = this.message.subarray(this.at, this.at + length);
    this.at += length;
    return taken;
  }

  private fail(): u32 {
    this.failed = true;
    this.at = this.message.length;
    return 0;
  }
}

/** Appends values. */
export class Writer {
  private out: Uint8Array = new Uint8Array(256);
  private length: i32 = 0;

  /** At most 15 members. */
  map(members: u8): void {
    this.byte(0x80 | members);
  }

  /** At most 15 items. */
  array(items: u8): void {
    this.byte(0x90 | items);
  }

  /** At most 31 bytes. */
  text(text: string): void {
    const bytes = Uint8Array.wrap(String.UTF8.encode(text));
    this.byte(0xa0 | <u8>bytes.length);
    this.raw(bytes);
  }

  uint16(number: u16): void {
    this.byte(0xcd);
    this.byte(<u8>(number >> 8));
    this.byte(<u8>number);
  }

  binary(bytes: Uint8Array): void {
    this.byte(0xc6);
    for (let shift = 24; shift >= 0; shift -= 8) this.byte(<u8>(bytes.length >> shift));
    this.raw(bytes);
  }

  finish(): Uint8Array {
    return this.out.subarray(0, this.length);
  }

  private byte(byte: u8): void {
    this.grow(1);
    this.out[this.length++] = byte;
  }

  private raw(bytes: Uint8Array): void {
    this.grow(bytes.length);
    this.out.set(bytes, this.length);
    this.length += bytes.length;
  }

  private grow(more: i32): void {
    if (this.length + more <= this.out.length) return;
    const larger = new Uint8Array(max(2 * this.out.length, this.length + more));
    larger.set(this.out);
    this.out = larger;
  }
}
