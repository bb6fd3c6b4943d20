import Testing

@testable import KVMTrace

@Suite("Decompressor")
struct DecompressorTests {
  @Test("the names in a file's header")
  func names() {
    #expect(Compression(name: "none") == Compression.none && Compression(name: "") == Compression.none)
    #expect(Compression(name: "zstd") == .zstd && Compression(name: "zlib") == .zlib)
    #expect(Compression(name: "lz4") == nil && Compression(name: "ZSTD") == nil)
  }

  @Test("what is stored must have the length that it claims")
  func stored() {
    let decompressor = Decompressor(.none)
    let input: [UInt8] = [1, 2, 3]
    var output = [UInt8](repeating: 0, count: 3)
    #expect(
      input.withUnsafeBytes { i in output.withUnsafeMutableBytes { decompressor.decompress(i, into: $0) } })
    #expect(output == input)
    var longer = [UInt8](repeating: 0, count: 4)
    #expect(
      !input.withUnsafeBytes { i in longer.withUnsafeMutableBytes { decompressor.decompress(i, into: $0) } })
  }

  @Test("garbage and empty input are refused", arguments: [Compression.zstd, .zlib])
  func garbage(compression: Compression) {
    let decompressor = Decompressor(compression)
    for input in [[], [0], [UInt8](repeating: 0xff, count: 100)] as [[UInt8]] {
      var output = [UInt8](repeating: 0, count: 64)
      let done = input.withUnsafeBytes { i in
        output.withUnsafeMutableBytes { decompressor.decompress(i, into: $0) }
      }
      #expect(!done)
    }
  }
}
