import Testing

@testable import KVMTrace

@Suite("Chunks that one pass keeps for the next")
struct KeptChunksTests {
  /// A chunk that lies in the first thousand bytes of a file, and claims so many when it is decompressed.
  private func chunk(_ bytes: Int) -> KeptChunks.Chunk {
    KeptChunks.Chunk(pages: SectionBytes(count: 1), count: bytes, end: 1000)
  }

  @Test("They are given up as soon as it shows that all will be too many")
  func tooMany() {
    for (stored, isKept) in [(10_000, true), (100_000, false), (.max, false)] {
      let kept = KeptChunks(.zstd, storedBytes: stored)
      kept.keep(chunk(1 << 20), at: 0)
      #expect((kept.chunk(at: 0) != nil) == isKept, "\(stored)")
    }
    let kept = KeptChunks(.zstd, storedBytes: 10_000)
    kept.keep(chunk(40_960), at: 0)
    #expect(kept.chunk(at: 0)?.count == 40_960)
    kept.keep(chunk(KeptChunks.bytesMax), at: 500)
    #expect(kept.chunk(at: 0) == nil && kept.chunk(at: 500) == nil)
  }

  @Test("The last pass gives up what it reads, and keeps nothing")
  func lastPass() {
    let kept = KeptChunks(.zstd, storedBytes: 10_000)
    kept.keep(chunk(4096), at: 0)
    #expect(kept.chunk(at: 0) != nil)
    kept.isLastPass = true
    #expect(kept.chunk(at: 0) != nil && kept.chunk(at: 0) == nil)
    kept.keep(chunk(4096), at: 0)
    #expect(kept.chunk(at: 0) == nil)
  }
}
