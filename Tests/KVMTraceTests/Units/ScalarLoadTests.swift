import Testing

@testable import KVMTrace

@Suite("ScalarLoad")
struct ScalarLoadTests {
  @Test("every size, sign, byte order and place", arguments: [1, 2, 4, 8], [false, true])
  func all(size: Int, bigEndian: Bool) {
    // Sixteen bytes stand before the data, as a sub-buffer's header does.
    let bytes = (0..<48).map { UInt8(truncatingIfNeeded: 0x71 &* ($0 + 1)) }
    for offset in 0...16 {
      for isSigned in [false, true] {
        var expected: UInt64 = 0
        for index in 0..<size {
          let byte = UInt64(bytes[16 + offset + (bigEndian ? index : size - 1 - index)])
          expected = expected << 8 | byte
        }
        let top: UInt64 = 1 << UInt64(8 * size - 1)
        if isSigned, size < 8, expected & top != 0 { expected |= UInt64.max << UInt64(8 * size) }
        let load = ScalarLoad(offset: offset, size: size, isSigned: isSigned, bigEndian: bigEndian)
        #expect(load.end == offset + size)
        let value = bytes.withUnsafeBytes { load.load($0.baseAddress! + 16) }
        #expect(value == expected, "\(size) bytes at \(offset), signed \(isSigned)")
      }
    }
  }
}
