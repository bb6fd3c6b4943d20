import KVMTypes
import Testing

/// The geometry of stage-2 tables.
@Suite("PageSize")
struct PageSizeTests {
  @Test("sizes that Arm has")
  func sizes() {
    for size in PageSize.allCases { #expect(PageSize(bytes: size.bytes) == size) }
    for bytes in [0, 1, 2048, 8192, 32768, 131072] as [UInt64] { #expect(PageSize(bytes: bytes) == nil) }
    #expect(PageSize.allCases.map(\.bytes) == [4096, 16384, 65536])
  }

  /// The bits of an address below a descriptor, at the levels from -1 or 0 on.
  static let shifts: [(size: PageSize, first: Int8, shifts: [UInt64])] = [
    (.size4K, -1, [48, 39, 30, 21, 12]), (.size16K, 0, [47, 36, 25, 14]), (.size64K, 1, [42, 29, 16]),
  ]

  @Test("what one descriptor covers", arguments: shifts.indices)
  func granules(index: Int) {
    let (size, first, shifts) = Self.shifts[index]
    for (offset, shift) in shifts.enumerated() {
      let level = TranslationLevel(first + Int8(offset))
      #expect(size.levelShift(level) == shift)
      #expect(size.granule(level) == UInt64(1) << shift)
    }
  }

  @Test("blocks of level 2", arguments: zip(PageSize.allCases, [512, 2048, 8192] as [UInt64]))
  func blocks(size: PageSize, pages: UInt64) {
    #expect(size.pagesPerPMD == pages && size.descriptorsPerTable == pages)
    #expect(size.pmdBytes == pages * size.bytes)
    #expect(UInt64(1) << size.bitsPerLevel == pages)
  }

  @Test("levels are ordered from the root")
  func levels() {
    #expect(TranslationLevel(-1) < .l0 && TranslationLevel.l0 < .l1 && .l1 < .l2 && TranslationLevel.l2 < .l3)
  }
}
