import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("RAM and other slots of a VM")
struct GuestMemoryTests {
  private func slot(
    _ id: Int16?, _ base: UInt64, _ pages: UInt64, _ flags: MemslotFlags = []
  ) -> Memslot {
    Memslot(id: id, base: GFN(base), pages: pages, hva: nil, flags: flags, basis: .recorded)
  }

  @Test("Flash that the guest cannot write to and the memory of devices do not grow with the RAM")
  func firmware() {
    let memory = GuestMemory([
      slot(0, 0, 16384, .readOnly), slot(1, 16384, 16384, .readOnly), slot(2, 0x40000, 49152),
      slot(3, 0x90a0, 1), slot(4, 0x50000, 767),
    ])
    #expect(memory.ramPages == 49152)
    #expect(memory.fixedPages == 2 * 16384 + 1 + 767)
    #expect(memory.pieces == 4)
    #expect(GuestMemory([slot(2, 0x40000, 49152), slot(4, 0x50000, 768)]).ramPages == 49920)
  }

  @Test("A slot that changes its flags, moves or comes again is counted once")
  func changes() {
    let logging = GuestMemory([slot(0, 100, 512), slot(0, 100, 512, .logDirtyPages)])
    #expect(logging.ramPages == 512 && logging.pieces == 1)
    #expect(GuestMemory([slot(0, 100, 512), slot(0, 5000, 512)]).ramPages == 512)
    #expect(GuestMemory([slot(0, 100, 512), slot(1, 100, 512)]).ramPages == 512)
    #expect(GuestMemory([slot(nil, 100, 512), slot(nil, 612, 512)]).ramPages == 1024)
    #expect(GuestMemory([]).ramPages == 0)
  }

  @Test("Pages that faults showed in a slot that is no RAM are told apart")
  func touches() {
    var set = TouchedMemory(pageSize: .size4K)
    set.touch(GFN(7), isBlock: false, isFixed: true, at: Nanoseconds(0), interval: 0)
    set.touch(GFN(7), isBlock: false, isFixed: true, at: Nanoseconds(1), interval: 0)
    set.touch(GFN(1024), isBlock: true, isFixed: true, at: Nanoseconds(1), interval: 1)
    set.touch(GFN(4096), isBlock: false, at: Nanoseconds(1), interval: 1)
    let result = set.result(last: 1)
    #expect(result.pages == 514)
    #expect(result.fixed == FixedTouches(pages: 513, mappings: 2, regions: 2))
    #expect(result.samples[1] == TouchSample(touched: 513, first: 513, firstFixed: 512))
  }
}
