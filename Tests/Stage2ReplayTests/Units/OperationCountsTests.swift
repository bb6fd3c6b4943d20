import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// What the table of operations counts.
@Suite("Counts of operations")
struct OperationCountsTests {
  @Test("A call that fails covers no pages, whatever its range")
  func failedCalls() {
    for kind in OperationKind.allCases where kind != .testClearYoung && kind != .mkyoung {
      var counts = OperationCounts()
      counts.add(kind, pages: 512, 0, .derived)
      counts.add(kind, pages: 512, KernelResult.again.rawValue, .assumed)
      counts.add(kind, pages: 512, KernelResult.noMemory.rawValue, .derived)
      #expect(counts.count == 3 && counts.again == 1 && counts.errors == 1 && counts.pages == 512)
      #expect(counts.derived == 2 && counts.assumed == 1)
    }
  }

  @Test("What a test of access flags finds is no failure, and a call on one address covers a page")
  func answers() {
    var tests = OperationCounts()
    for answer in [0, 1, nil] as [Int32?] { tests.add(.testClearYoung, pages: 4, answer, .derived) }
    #expect(tests.pages == 12 && tests.errors == 0)
    var made = OperationCounts()
    made.add(.mkyoung, pages: 0, nil, .derived)
    #expect(made.pages == 1)
  }

  @Test("Of two vCPUs that map one block the slower one maps nothing")
  func race() throws {
    let story = Scenario()
    story.createSlot(pages: 1024, hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory, level: 2)
    story.fault(.vcpu1, story.memory + story.page, level: 2)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    let replayed = try story.replay()
    let maps = try #require(replayed.result.vms[0].operations[.map])
    #expect(maps.count == 2 && maps.again == 1)
    let mapped = try #require(replayed.all.first { $0.result == 0 })
    #expect(maps.pages == mapped.size / story.page)
  }
}
