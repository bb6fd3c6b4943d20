import KVMTypes
import Testing

@testable import Stage2Model

struct MemoryAccountingTests {
  @Test func movesKeepTheSums() {
    var memory = MemoryAccounting(pageSize: .size4K, secPageTables: .tables)
    memory.allocate(.pgd, pages: 2)
    memory.allocate(.hostMemcache, pages: 40)
    #expect(memory.secPageTables.live == 2)
    #expect(memory.allPages.live == 42)
    memory.move(from: .hostMemcache, to: .tableLevel2)
    memory.move(from: .hostMemcache, to: .tableLevel3)
    #expect(memory.pages(.hostMemcache).live == 38)
    #expect(memory.pages(.hostMemcache).peak == 40)
    #expect(memory.tables.live == 2)
    #expect(memory.tables(level: .l3).live == 1)
    #expect(memory.secPageTables.live == 4)
    #expect(memory.allPages.live == 42)
    #expect(memory.allPages.peak == 42)
    #expect(memory.totalBytes.live == 42 * 4096)
    memory.release(.tableLevel3)
    #expect(memory.tables.live == 1)
    #expect(memory.tables.peak == 2)
    #expect(memory.tables.removed == 1)
    #expect(memory.secPageTables.live == 3)
    #expect(memory.totalBytes.live == 41 * 4096)
    #expect(memory.totalBytes.peak == 42 * 4096)
  }

  @Test func aPeakIsTheMostAtOneMoment() {
    var count = LiveCount()
    count.add(3)
    #expect(count.peak == 3)
    count.remove(2)
    count.add()
    #expect(count.live == 2 && count.peak == 3 && count.added == 4 && count.removed == 2)
    count.add(2)
    #expect(count.live == 4 && count.peak == 4)
    let end = count.released()
    #expect(end.live == 0 && end.peak == 4 && end.added == 6 && end.removed == 6)
  }

  @Test func memcachesCountFromTheTopUpOn() {
    var memory = MemoryAccounting(pageSize: .size16K, secPageTables: .tablesAndMemcaches)
    memory.allocate(.pgd)
    memory.allocate(.hypVM, pages: 2)
    memory.allocate(.hostMemcache, pages: 3)
    #expect(memory.secPageTables.live == 4)
    memory.move(from: .hostMemcache, to: .hypMemcache, pages: 3)
    memory.move(from: .hypMemcache, to: .tableLevel3)
    memory.move(from: .tableLevel3, to: .pool)
    #expect(memory.secPageTables.live == 4)
    #expect(memory.secPageTables.peak == 4)
    #expect(memory.allPages.live == 6)
    #expect(memory.tables.live == 0)
    #expect(memory.tables.peak == 1)
    #expect(memory.totalBytes.peak == 6 * 16384)
  }

  @Test func mappingsAreSlabObjects() {
    var memory = MemoryAccounting(pageSize: .size4K, bytesPerMapping: 72, secPageTables: .nothing)
    memory.allocate(.tableLevel1)
    #expect(memory.secPageTables.live == 0)
    memory.addMapping(isBlock: false)
    memory.addMapping(isBlock: true)
    memory.addMapping(isBlock: true)
    memory.removeMapping(isBlock: true)
    #expect(memory.pageMappings.live == 1)
    #expect(memory.blockMappings.live == 1)
    #expect(memory.blockMappings.peak == 2)
    #expect(memory.mappings.peak == 3)
    #expect(memory.mappingBytesLive == 144)
    #expect(memory.mappingBytesPeak == 216)
    #expect(memory.totalBytes.live == 4096 + 144)
  }

  @Test func removingTooMuchStops() async {
    await #expect(processExitsWith: .failure) {
      var memory = MemoryAccounting(pageSize: .size4K)
      memory.allocate(.pool)
      memory.release(.pool, pages: 2)
    }
  }
}
