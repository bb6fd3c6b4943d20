import KVMTypes
import Testing

@testable import Stage2Replay

/// Rules about the order of one thread's events, which need no model.
@Suite("The order of a thread's events")
struct ThreadOrderTests {
  private let recorded = ThreadOrder.Recorded(loop: true, accessFaults: true)
  private let translation = ESR(0x9200_0007)
  private let access = ESR(0x9200_000b)
  private let page = IPA(0x4000_0000)
  private let pc = GuestVA(0x1000)

  @Test("A fault's whole window is in order")
  func window() {
    var order = ThreadOrder()
    for _ in 0..<2 {
      #expect(order.entry(at: pc, isInSlot: true, recorded) == nil)
      #expect(order.exit(at: pc, isTrap: true, exceptionClass: 0x24) == nil)
      #expect(order.guestFault(page, translation) == nil)
      #expect(order.entry(at: pc, isInSlot: true, recorded) == nil)
      #expect(order.exit(at: pc, isTrap: true, exceptionClass: 0x24) == nil)
      #expect(order.guestFault(page, access) == nil)
      #expect(order.accessFault(page) == nil)
      #expect(order.userspaceExit(takesAbort: false, isInSlot: true, recorded) == nil)
      #expect(order.userspaceExit(takesAbort: false, isInSlot: true, recorded) == nil)
      #expect(order.entry(at: pc, isInSlot: true, recorded) == nil)
      #expect(order.exit(at: pc, isTrap: false, exceptionClass: 0) == nil)
    }
  }

  @Test("O1: an entry or an exit comes twice, or KVM works while the guest runs")
  func alternation() {
    var order = ThreadOrder()
    _ = order.entry(at: pc, isInSlot: false, recorded)
    #expect(order.entry(at: pc, isInSlot: false, recorded) == .unexplained(.entryAndExitAlternate))
    _ = order.exit(at: pc, isTrap: false, exceptionClass: 0)
    #expect(order.exit(at: pc, isTrap: false, exceptionClass: 0) == .entryAndExitAlternate)
    _ = order.entry(at: pc, isInSlot: false, recorded)
    #expect(
      order.userspaceExit(takesAbort: false, isInSlot: false, recorded)
        == .unexplained(.entryAndExitAlternate))
    _ = order.entry(at: pc, isInSlot: false, recorded)
    #expect(order.mmio(nil, far: nil) == .entryAndExitAlternate)
  }

  @Test("O1: a notifier of a thread whose guest runs, or that has not come to its fault")
  func notifier() {
    var order = ThreadOrder()
    #expect(order.other() == nil)
    _ = order.entry(at: pc, isInSlot: false, recorded)
    #expect(order.other() == .entryAndExitAlternate)
    _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x24)
    #expect(order.other() == .entryAndExitAlternate)
    _ = order.guestFault(page, translation)
    #expect(order.other() == nil)
  }

  @Test("O2: an abort without its fault")
  func abort() {
    var order = ThreadOrder()
    _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x24)
    #expect(order.entry(at: pc, isInSlot: false, recorded) == .unexplained(.abortHasGuestFault))
    _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x20)
    #expect(
      order.userspaceExit(takesAbort: false, isInSlot: false, recorded) == .unexplained(.abortHasGuestFault))
    _ = order.entry(at: pc, isInSlot: false, recorded)
    _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x16)
    #expect(order.entry(at: pc, isInSlot: false, recorded) == nil)
  }

  @Test("O2: KVM gave the abort to the guest, which goes on elsewhere, or to the VMM")
  func abortGivenBack() {
    let vector = GuestVA(0xffff_8000_8001_0200)
    var order = ThreadOrder()
    for exceptionClass: UInt8 in [0x20, 0x24] {
      _ = order.exit(at: pc, isTrap: true, exceptionClass: exceptionClass)
      #expect(
        order.entry(at: vector, isInSlot: false, recorded) == .explained(.abortHasGuestFault, .abortGivenBack)
      )
      // The handler takes one, too.
      _ = order.exit(at: vector, isTrap: true, exceptionClass: exceptionClass)
      #expect(order.entry(at: vector, isInSlot: false, recorded) == .unexplained(.abortHasGuestFault))
      _ = order.exit(at: pc, isTrap: true, exceptionClass: exceptionClass)
      #expect(
        order.userspaceExit(takesAbort: true, isInSlot: false, recorded)
          == .explained(.abortHasGuestFault, .abortGivenBack))
      #expect(order.entry(at: pc, isInSlot: false, recorded) == nil)
    }
    // An instruction that KVM emulates is behind the fault's event.
    _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x24)
    #expect(
      order.entry(at: GuestVA(pc.rawValue + 4), isInSlot: false, recorded)
        == .unexplained(.abortHasGuestFault))
  }

  @Test("Where a vCPU goes on is compared with where it left, if that is known")
  func jumps() {
    var order = ThreadOrder()
    #expect(!order.jumps(to: pc))
    _ = order.exit(at: pc, isTrap: false, exceptionClass: 0)
    for distance: UInt64 in [0, 2, 4] { #expect(!order.jumps(to: GuestVA(pc.rawValue + distance))) }
    for distance: UInt64 in [1, 8, 0x4000_0000] { #expect(order.jumps(to: GuestVA(pc.rawValue &+ distance))) }
    #expect(order.jumps(to: GuestVA(pc.rawValue - 4)))
    order.forget()
    #expect(!order.jumps(to: GuestVA(0)))
  }

  @Test("D18: a fault without a trap of its class before it")
  func fault() {
    var order = ThreadOrder()
    _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x20)
    #expect(order.guestFault(page, translation) == .exitMatchesFault)
    #expect(order.guestFault(page, translation) == .exitMatchesFault)
    _ = order.entry(at: pc, isInSlot: true, recorded)
    _ = order.exit(at: pc, isTrap: false, exceptionClass: 0x24)
    #expect(order.guestFault(page, translation) == .exitMatchesFault)
  }

  @Test("D5: an access flag fault and its event come together, with one address")
  func accessFault() {
    func fault(_ esr: ESR) -> ThreadOrder {
      var order = ThreadOrder()
      _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x24)
      _ = order.guestFault(page, esr)
      return order
    }
    var order = fault(access)
    #expect(order.accessFault(page + 4096) == .accessFaultFollowsGuestFault)
    order = fault(translation)
    #expect(order.accessFault(page) == .accessFaultFollowsGuestFault)
    order = fault(access)
    #expect(order.entry(at: pc, isInSlot: true, recorded) == .unexplained(.accessFaultFollowsGuestFault))
    order = fault(access)
    #expect(order.entry(at: pc, isInSlot: false, recorded) == nil)
    // A trace without the event says nothing of it.
    order = fault(access)
    #expect(order.entry(at: pc, isInSlot: true, ThreadOrder.Recorded(loop: true)) == nil)
  }

  @Test("D8: an access of the VMM's has the address of the fault before it")
  func mmio() {
    func fault() -> ThreadOrder {
      var order = ThreadOrder()
      _ = order.exit(at: pc, isTrap: true, exceptionClass: 0x24)
      _ = order.guestFault(page, translation)
      return order
    }
    var order = fault()
    #expect(order.mmio(page + 0x18, far: GuestVA(0xffff_8000_0000_1018)) == nil)
    // The completion of a read needs no fault.
    #expect(order.mmio(nil, far: nil) == nil)
    #expect(order.mmio(page, far: nil) == .mmioLiesOutsideSlots)
    order = fault()
    #expect(order.mmio(page + 0x20, far: GuestVA(0x1018)) == .mmioLiesOutsideSlots)
  }

  @Test("After a gap nothing is out of order")
  func gap() {
    var order = ThreadOrder()
    _ = order.entry(at: pc, isInSlot: false, recorded)
    order.forget()
    #expect(order.entry(at: pc, isInSlot: false, recorded) == nil)
    order.forget()
    #expect(order.guestFault(page, translation) == nil)
    order.forget()
    #expect(order.accessFault(page) == nil)
    order.forget()
    #expect(order.mmio(page, far: nil) == nil)
  }
}
