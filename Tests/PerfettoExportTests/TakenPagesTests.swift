import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

@testable import PerfettoExport

/// Which faults are led back to which unmaps.
@Suite("Flows from unmaps to faults")
struct TakenPagesTests {
  private static func operation(
    _ kind: OperationKind, at time: UInt64, page: UInt64, pages: UInt64 = 1, result: Int32 = 0,
    size: PageSize = .size4K
  ) -> Stage2Operation {
    Stage2Operation(
      time: Nanoseconds(time), cpu: CPUIndex(0), tid: ThreadID(1), vm: 0, kind: kind,
      address: IPA(page << size.shift), size: pages << size.shift, prot: nil, result: result, basis: .derived)
  }

  private static func pages(_ size: PageSize = .size4K) -> TakenPages {
    TakenPages(vm: 0, size, TrackIdentity(input: "made up", position: 0))
  }

  @Test("From the unmap of a page that was mapped to the first fault behind it, and no further")
  func once() {
    var pages = Self.pages()
    #expect(pages.map(Self.operation(.map, at: 10, page: 5), faultFrom: Nanoseconds(9)).isEmpty)
    let taken = pages.unmap(Self.operation(.unmap, at: 20, page: 0, pages: 512))
    #expect(taken.pages == 1 && taken.flows.count == 1)
    #expect(pages.unmap(Self.operation(.unmap, at: 21, page: 0, pages: 512)).flows.isEmpty)
    let found = pages.map(Self.operation(.map, at: 30, page: 5), faultFrom: Nanoseconds(25))
    #expect(found.map(\.flow) == taken.flows && found[0].time == Nanoseconds(20))
    #expect(pages.map(Self.operation(.map, at: 40, page: 5), faultFrom: Nanoseconds(35)).isEmpty)
  }

  @Test("Not to a fault that had begun before, nor to one on another page, nor by what failed")
  func notOthers() {
    var pages = Self.pages()
    for page in [5, 6] as [UInt64] {
      _ = pages.map(Self.operation(.map, at: 10, page: page), faultFrom: Nanoseconds(9))
    }
    #expect(pages.unmap(Self.operation(.unmap, at: 19, page: 5, result: -11)).pages == 0)
    let taken = pages.unmap(Self.operation(.unmap, at: 20, page: 5, pages: 2))
    #expect(taken.flows.count == 2 && Set(taken.flows).count == 2)
    #expect(pages.map(Self.operation(.map, at: 30, page: 7), faultFrom: Nanoseconds(25)).isEmpty)
    #expect(pages.map(Self.operation(.map, at: 30, page: 6, result: -11), faultFrom: Nanoseconds(25)).isEmpty)
    #expect(pages.map(Self.operation(.map, at: 30, page: 5), faultFrom: Nanoseconds(19)).isEmpty)
    #expect(pages.map(Self.operation(.map, at: 30, page: 6), faultFrom: Nanoseconds(20)).count == 1)
  }

  @Test("A block has one flow, of a page of either size", arguments: [PageSize.size4K, .size16K])
  func block(size: PageSize) {
    var pages = Self.pages(size)
    let count = size.pagesPerPMD
    _ = pages.map(
      Self.operation(.map, at: 10, page: 2 * count, pages: count, size: size), faultFrom: Nanoseconds(9))
    let taken = pages.unmap(Self.operation(.unmap, at: 20, page: 2 * count + 3, size: size))
    #expect(taken.pages == Int(count) && taken.flows.count == 1)
    let found = pages.map(
      Self.operation(.map, at: 30, page: 3 * count - 1, size: size), faultFrom: Nanoseconds(25))
    #expect(found.map(\.flow) == taken.flows)
    #expect(
      pages.map(Self.operation(.map, at: 30, page: 2 * count, size: size), faultFrom: Nanoseconds(25)).isEmpty
    )
  }

  @Test("An unmap of all addresses takes what there is, and has so many flows at most")
  func many() {
    var pages = Self.pages()
    for page in 0..<100 as Range<UInt64> {
      _ = pages.map(Self.operation(.map, at: 10, page: 700 * page), faultFrom: Nanoseconds(9))
    }
    let all = Stage2Operation(
      time: Nanoseconds(20), cpu: CPUIndex(0), tid: ThreadID(1), vm: 0, kind: .unmap, address: IPA(0),
      size: .max, prot: nil, result: 0, basis: .derived)
    let taken = pages.unmap(all)
    #expect(taken.pages == 100 && taken.flows.count == TakenPages.flowsMax)
    #expect(pages.map(Self.operation(.map, at: 30, page: 0), faultFrom: Nanoseconds(25)).count == 1)
    #expect(pages.map(Self.operation(.map, at: 30, page: 69300), faultFrom: Nanoseconds(25)).isEmpty)
  }
}
