import Testing
import UnnamedFiles

@testable import KVMTrace

/// Files that are compressed as a whole, and such as have no size.
@Suite("Recordings that are compressed, and files without a size")
struct CompressedFileTests {
  private static let text = Array(
    "# tracer: nop\n#\n             vmm-139   [000]     1.000001: kvm_entry: PC: 0x1\n".utf8)

  /// A frame of zstd with one block as it stands: behind the magic number what the header says.
  private static func frame(_ header: [UInt8], _ content: [UInt8] = text) -> [UInt8] {
    let word = content.count << 3 | 1
    return [0x28, 0xb5, 0x2f, 0xfd] + header + [UInt8(word & 255), UInt8(word >> 8 & 255), 0] + content
  }

  /// A frame that is to be skipped.
  private static let skippable: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]

  private static func unwrapped(_ bytes: [UInt8]) throws -> RecordingOpener.Unwrapped {
    let file = try UnnamedFile(bytes)
    return try RecordingOpener.unwrapped(FileBytes(path: file.path), spoolLimit: nil)
  }

  @Test("frames that are to be skipped stand before others")
  func skipped() throws {
    for bytes in [skippable, skippable + Self.skippable].map({ $0 + Self.frame([0x00, 0x58]) }) {
      #expect(RecordingSignature(prefix: bytes) == .compressed)
      let unwrapped = try Self.unwrapped(bytes)
      #expect(unwrapped.compression == "zstd")
      #expect(unwrapped.file.count == Self.text.count)
      #expect(unwrapped.damage == nil)
    }
    // lz4 has them, too.
    #expect(RecordingSignature(prefix: Self.skippable + [0x04, 0x22, 0x4d, 0x18]) != .compressed)
  }

  private var skippable: [UInt8] { Self.skippable }

  @Test(
    "what zstd needs more than its file for is named, with the command that has it",
    arguments: [
      (
        [0x00, 0xa0], "is compressed (zstd), and needs a window of more than 128 MiB",
        "zstd -dc --long=31 FILE"
      ),
      ([0x01, 0x58, 7], "is compressed (zstd), and needs a dictionary", "zstd -dc -D DICTIONARY FILE"),
    ] as [([UInt8], String, String)])
  func needs(header: [UInt8], what: String, command: String) throws {
    let error = #expect(throws: IngestError.self) { try Self.unwrapped(Self.frame(header)) }
    #expect(error?.what == what)
    #expect(error?.advice == "\(command) writes what can be read from a pipe, where - stands for the file")
    // What came before is read.
    let second = try Self.unwrapped(Self.frame([0x00, 0x58]) + Self.frame(header))
    #expect(second.file.count == Self.text.count)
    #expect(second.damage?.what.contains(command) == true)
  }

  @Test(
    "zeros behind what is compressed fill up a block, and other bytes are damage",
    arguments: [1, 511, 600_000])
  func padding(count: Int) throws {
    for stream in [Self.frame([0x00, 0x58]), Self.gzip] {
      let zeros = [UInt8](repeating: 0, count: count)
      let padded = try Self.unwrapped(stream + zeros)
      #expect(padded.file.count == Self.text.count && padded.damage == nil)
      #expect(try Self.unwrapped(stream + zeros + [1]).damage != nil)
    }
    // Its sum and its length are no padding.
    #expect(try Self.unwrapped(Self.gzip.dropLast(8) + [UInt8](repeating: 0, count: count)).damage != nil)
  }

  /// The text as gzip stores it: a block as it stands.
  private static let gzip: [UInt8] = {
    var crc = ~UInt32(0)
    for byte in text {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xedb8_8320 : 0) }
    }
    func little(_ value: UInt32, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
    }
    let length = UInt32(text.count)
    return [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1] + little(length, 2) + little(~length, 2) + text
      + little(~crc, 4) + little(length, 4)
  }()

  @Test("what is compressed twice is named")
  func twice() throws {
    func twice(_ once: [UInt8]) throws { _ = try Self.unwrapped(Self.frame([0x00, 0x58], once)) }
    let error = #expect(throws: IngestError.self) { try twice(Self.frame([0x00, 0x58])) }
    #expect(error?.what == "is compressed twice")
    #expect(error?.advice == "zstd -dc FILE writes what can be read from a pipe, where - stands for the file")
    let xz = [0xfd] + Array("7zXZ\0".utf8)
    let other = #expect(throws: IngestError.self) { try twice(xz) }
    #expect(other?.advice == "decompress it twice")
  }

  @Test("a file without a size is read to its end")
  func withoutSize() throws {
    let error = #expect(throws: IngestError.self) { try FileBytes(path: "/proc/self/status") }
    #expect(error?.what == "is a text file, not a trace")
    let empty = try UnnamedFile([])
    #expect(throws: IngestError(.notATrace, path: empty.path, what: "is empty, not a trace")) {
      try FileBytes(path: empty.path)
    }
  }
}
