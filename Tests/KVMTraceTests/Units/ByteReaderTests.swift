import Testing

@testable import KVMTrace

@Suite("ByteReader")
struct ByteReaderTests {
  private static let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

  @Test("both byte orders")
  func byteOrders() throws {
    try Self.bytes.withUnsafeBytes { bytes throws in
      var little = ByteReader(bytes, bigEndian: false)
      let values = (try little.u8(), try little.u16(), try little.u32())
      #expect(values == (1, 0x0302, 0x0706_0504))
      var big = ByteReader(bytes, bigEndian: true, at: 1)
      let value = try big.u64()
      #expect(value == 0x0203_0405_0607_0809 && big.offset == 9 && big.remaining == 1)
    }
  }

  @Test("no read goes past the end, and a failed one moves nothing")
  func overrun() {
    Self.bytes.withUnsafeBytes { bytes in
      let reads: [(inout ByteReader) throws -> Void] = [
        { _ = try $0.u32() }, { _ = try $0.u64() }, { _ = try $0.slice(4) }, { _ = try $0.slice(.max) },
        { try $0.skip(.max) }, { try $0.skip(4) }, { try $0.seek(to: .max) }, { try $0.seek(to: 11) },
        { _ = try $0.text(.max) }, { _ = try $0.nulTerminated() },
      ]
      for (index, read) in reads.enumerated() {
        var reader = ByteReader(bytes, bigEndian: false, at: 7)
        #expect(throws: ByteReader.Overrun.self, "read \(index)") { try read(&reader) }
        #expect(reader.offset == 7, "read \(index)")
      }
    }
  }

  @Test("the end is a place to stand on")
  func end() throws {
    try Self.bytes.withUnsafeBytes { bytes throws in
      var reader = ByteReader(bytes, bigEndian: false)
      try reader.seek(to: 10)
      let nothing = try reader.slice(0)
      #expect(reader.remaining == 0 && nothing.isEmpty)
      #expect(throws: ByteReader.Overrun.self) { _ = try reader.u8() }
    }
  }

  @Test("text")
  func text() throws {
    try (Array("ab\0".utf8) + [0xff, 0x41, 0, 0]).withUnsafeBytes { bytes throws in
      var reader = ByteReader(bytes, bigEndian: false)
      let texts = [try reader.nulTerminated(), try reader.text(2), try reader.nulTerminated()]
      #expect(texts == ["ab", "\u{fffd}A", ""] && reader.remaining == 1)
    }
  }
}
