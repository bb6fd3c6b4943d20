import KVMTypes
import Testing

@testable import Stage2Model

/// The shape of stage-2 tables, against values worked out by hand from `asm/stage2_pgtable.h`.
struct Stage2GeometryTests {
  struct Row: CustomTestStringConvertible {
    let pageSize: PageSize
    let ipaBits: Int
    let levels: Int
    let start: Int8
    let minPages: Int
    let pgdPages: Int
    let chunks: UInt64

    var testDescription: String { "\(pageSize) \(ipaBits) bits" }

    init(_ pageSize: PageSize, _ bits: Int, _ shape: (Int, Int8, Int, Int), _ chunks: UInt64) {
      self.pageSize = pageSize
      ipaBits = bits
      (levels, start, minPages, pgdPages) = shape
      self.chunks = chunks
    }
  }

  /// Levels, start level, min_pages, PGD pages; chunks of the destroy loop.
  static let rows: [Row] = [
    Row(.size4K, 32, (2, 2, 1, 4), 4), Row(.size16K, 32, (2, 2, 1, 1), 128),
    Row(.size64K, 32, (2, 2, 1, 1), 8),
    Row(.size4K, 34, (2, 2, 1, 16), 16), Row(.size16K, 34, (2, 2, 1, 1), 512),
    Row(.size64K, 34, (2, 2, 1, 1), 32),
    Row(.size4K, 36, (3, 1, 2, 1), 64), Row(.size16K, 36, (2, 2, 1, 1), 2048),
    Row(.size64K, 36, (2, 2, 1, 1), 128),
    Row(.size4K, 39, (3, 1, 2, 1), 512), Row(.size16K, 39, (2, 2, 1, 8), 16384),
    Row(.size64K, 39, (2, 2, 1, 1), 1024),
    Row(.size4K, 40, (3, 1, 2, 2), 1024), Row(.size16K, 40, (2, 2, 1, 16), 32768),
    Row(.size64K, 40, (2, 2, 1, 1), 2048),
    Row(.size4K, 42, (3, 1, 2, 8), 4096), Row(.size16K, 42, (3, 1, 2, 1), 131072),
    Row(.size64K, 42, (2, 2, 1, 1), 8192),
    Row(.size4K, 43, (3, 1, 2, 16), 8192), Row(.size16K, 43, (3, 1, 2, 1), 262144),
    Row(.size64K, 43, (2, 2, 1, 2), 16384),
    Row(.size4K, 44, (4, 0, 3, 1), 16384), Row(.size16K, 44, (3, 1, 2, 1), 524288),
    Row(.size64K, 44, (2, 2, 1, 4), 32768),
    Row(.size4K, 48, (4, 0, 3, 1), 262144), Row(.size16K, 48, (3, 1, 2, 2), 8_388_608),
    Row(.size64K, 48, (3, 1, 2, 1), 524288),
    Row(.size4K, 52, (4, 0, 3, 16), 4_194_304), Row(.size16K, 52, (4, 0, 3, 1), 134_217_728),
    Row(.size64K, 52, (3, 1, 2, 1), 8_388_608),
  ]

  @Test(arguments: rows)
  func computedTable(row: Row) throws {
    let geometry = try Stage2Geometry(pageSize: row.pageSize, ipaBits: row.ipaBits)
    #expect(geometry.levels == row.levels)
    #expect(geometry.startLevel.rawValue == row.start)
    #expect(geometry.minPages == row.minPages)
    #expect(geometry.pgdPages == row.pgdPages)
    #expect(geometry.pgdBytes == UInt64(row.pgdPages) * row.pageSize.bytes)
    #expect(geometry.destroyChunks == row.chunks)
  }

  @Test(arguments: PageSize.allCases)
  func everySizeIsConsistent(pageSize: PageSize) throws {
    for bits in 32...52 {
      let geometry = try Stage2Geometry(pageSize: pageSize, ipaBits: bits)
      #expect((1...16).contains(geometry.pgdPages))
      // The PGD's entries cover the space exactly, or one table is partly unused.
      let covered = UInt64(geometry.pgdPages) * pageSize.descriptorsPerTable
      let entry = pageSize.granule(geometry.startLevel)
      #expect(covered.multipliedReportingOverflow(by: entry).overflow || covered * entry >= 1 << UInt64(bits))
      #expect(geometry.pgdPages == 1 || covered * entry == 1 << UInt64(bits))
      #expect(geometry.minPages == 3 - Int(geometry.startLevel.rawValue))
      #expect(geometry.needsLargeAddresses == (bits > 48))
    }
  }

  @Test(arguments: [-1, 0, 31, 53, 64])
  func impossibleSizes(bits: Int) {
    #expect(throws: Stage2Geometry.Failure.ipaBitsOutOfRange(bits)) {
      try Stage2Geometry(pageSize: .size4K, ipaBits: bits)
    }
  }

  @Test func chunksAreTheBiggestBlock() throws {
    let sizes: [(PageSize, UInt64)] = [(.size4K, 1 << 30), (.size16K, 32 << 20), (.size64K, 512 << 20)]
    for (pageSize, bytes) in sizes {
      #expect(try Stage2Geometry(pageSize: pageSize, ipaBits: 40).chunkBytes == bytes)
    }
    let geometry = try Stage2Geometry(pageSize: .size4K, ipaBits: 40)
    #expect(geometry.chunkEnd(0, limit: 1 << 32) == 1 << 30)
    #expect(geometry.chunkEnd(0x1234_5000, limit: 1 << 32) == 1 << 30)
    #expect(geometry.chunkEnd(0x4000_0000, limit: 0x4000_1000) == 0x4000_1000)
    #expect(geometry.chunkEnd(UInt64.max - 0xfff, limit: UInt64.max) == UInt64.max)
  }

  @Test func sizeOfAVM() throws {
    func bits(_ type: Int, limit: Int, isPKVM: Bool) throws -> Int {
      try Stage2Geometry.forVM(type: type, pageSize: .size4K, hostLimit: limit, isPKVM: isPKVM).ipaBits
    }
    #expect(try bits(0, limit: 48, isPKVM: false) == 40)
    #expect(try bits(36, limit: 48, isPKVM: false) == 36)
    #expect(try bits(48, limit: 48, isPKVM: false) == 48)
    // Under pKVM the type is ignored.
    #expect(try bits(36, limit: 44, isPKVM: true) == 44)
    #expect(try bits(0, limit: 52, isPKVM: true) == 52)
    #expect(throws: Stage2Geometry.Failure.ipaBitsAboveHostLimit(49, limit: 48)) {
      try bits(49, limit: 48, isPKVM: false)
    }
    #expect(throws: Stage2Geometry.Failure.ipaBitsOutOfRange(31)) {
      try bits(31, limit: 48, isPKVM: false)
    }
    // A host that cannot resolve the default size: -EINVAL for type 0 too.
    #expect(throws: Stage2Geometry.Failure.ipaBitsAboveHostLimit(40, limit: 36)) {
      try bits(0, limit: 36, isPKVM: false)
    }
  }

  @Test func splitCache() throws {
    let geometry4K = try Stage2Geometry(pageSize: .size4K, ipaBits: 40)
    #expect(geometry4K.splitCachePages(chunk: 2 << 20) == 2)
    #expect(geometry4K.splitCachePages(chunk: 1 << 30) == 513)
    #expect(geometry4K.splitCachePages(chunk: 0) == 0)
    let geometry16K = try Stage2Geometry(pageSize: .size16K, ipaBits: 40)
    #expect(geometry16K.splitCachePages(chunk: 32 << 20) == 1)
  }
}
