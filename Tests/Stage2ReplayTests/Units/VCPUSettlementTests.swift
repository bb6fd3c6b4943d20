import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Replay

/// What the rule says, written naively: each step asks of each open thread anew which VMs are likely for it.
private struct NaiveSettlement {
  var threads: [VCPUSettlement.Thread]
  let creators: [ThreadID]
  let names: [ThreadID: String]
  let counts: [Set<Int>: Int]
  /// By thread, those settled before included.
  var settled: [Int: VMIndex]
  var answers: [(thread: Int, vm: VMIndex?)] = []

  mutating func run() {
    while let thread = open.first(where: { likely($0).count == 1 }) ?? open.first {
      let nearest = likely(thread).max { creators[$0.position] < creators[$1.position] }
      answers.append((thread.index.position, nearest))
      threads.removeAll { $0.index == thread.index }
      if let nearest { settled[thread.index.position] = nearest }
    }
  }

  private var open: [VCPUSettlement.Thread] { threads.sorted { $0.tid < $1.tid } }

  private func likely(_ thread: VCPUSettlement.Thread) -> [VMIndex] {
    let contradictions = thread.candidates.list.map { candidate in
      settled.filter { $0.value == candidate.vm }.keys.reduce(candidate.contradictions) {
        $0 + (counts[[thread.index.position, $1]] ?? 0)
      }
    }
    let most = 2 * (contradictions.min() ?? 0) + thread.candidates.faults / 16
    let likely = zip(thread.candidates.list, contradictions)
      .filter { $0.1 <= most && creators[$0.0.vm.position] <= thread.tid }.map(\.0.vm)
    guard let name = names[thread.tid] else { return likely }
    let namesakes = likely.filter { names[creators[$0.position]] == name }
    return namesakes.isEmpty ? likely : namesakes
  }
}

@Suite("Threads whose VM is open at the end of a trace")
struct VCPUSettlementTests {
  /// A case of a few threads and VMs, of which pairs are rivals.
  private static func random(_ random: inout SplitMix64) -> NaiveSettlement {
    let vms = 1 + random.below(5)
    let threads = 1 + random.below(9)
    let creators = (0..<vms).map { _ in ThreadID(100 + Int32(random.below(12))) }
    // The numbers are not in the order of appearance.
    let tids = (0..<threads).map { ThreadID(98 + Int32(($0 * 7) % threads) * 2) }
    var names: [ThreadID: String] = [:]
    for tid in creators + tids where random.below(3) > 0 { names[tid] = ["a", "b"][random.below(2)] }
    var counts: [Set<Int>: Int] = [:]
    for one in 0..<threads {
      for other in 0..<one where random.below(3) == 0 { counts[[one, other]] = 9 + random.below(30) }
    }
    var settled: [Int: VMIndex] = [:]
    var open: [VCPUSettlement.Thread] = []
    for thread in 0..<threads {
      if random.below(4) == 0 {
        settled[thread] = VMIndex(random.below(vms))
        continue
      }
      var candidates = VCPUCandidates(faults: random.below(200))
      for vm in 0..<vms where random.below(5) > 0 {
        candidates.list.append(.init(vm: VMIndex(vm), contradictions: random.below(3) * random.below(20)))
      }
      open.append(
        VCPUSettlement.Thread(index: ThreadIndex(thread), tid: tids[thread], candidates: candidates))
    }
    return NaiveSettlement(threads: open, creators: creators, names: names, counts: counts, settled: settled)
  }

  @Test("What is kept up to date is what the rule says anew at each step", arguments: 0..<8)
  func same(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<500 {
      var naive = Self.random(&random)
      var rivals: [ThreadIndex: [PageRivalry.Rival]] = [:]
      for (pair, count) in naive.counts {
        for thread in pair {
          let other = pair.subtracting([thread]).first!
          rivals[ThreadIndex(thread), default: []].append(
            PageRivalry.Rival(thread: ThreadIndex(other), count: count))
        }
      }
      let (creators, names, settled) = (naive.creators, naive.names, naive.settled)
      var settlement = VCPUSettlement(
        naive.threads, rivals: rivals, settled: { settled[$0.position] }, creator: { creators[$0.position] },
        command: { names[$0] })
      naive.run()
      for answer in naive.answers {
        let next = settlement.next()
        #expect(next?.thread.position == answer.thread && next?.vm == answer.vm)
      }
      #expect(settlement.next() == nil)
    }
  }

  @Test("Rivals are the pairs that gave each other's pages often enough")
  func rivals() {
    var rivalry = PageRivalry()
    for gfn in 0..<9 {
      for thread in [3, 5] { rivalry.give(GFN(UInt64(gfn)), to: ThreadIndex(thread)) }
      if gfn < 8 { rivalry.give(GFN(UInt64(gfn)), to: ThreadIndex(4)) }
    }
    #expect(Set(rivalry.rivals.keys) == [ThreadIndex(3), ThreadIndex(5)])
    #expect(rivalry.rivals[ThreadIndex(3)]?.map(\.thread) == [ThreadIndex(5)])
    #expect(rivalry.rivals[ThreadIndex(3)]?.map(\.count) == [rivalry.count(ThreadIndex(5), ThreadIndex(3))])
  }
}
