import CTreeBench
import KVMTypes
import Stage2Model

/// What the model's own functions take where every event is a fault or a notifier on a page: `pages`.
enum PageOperations {
  /// What is measured.
  private enum Phase: Int, CaseIterable { case map, walk, age, relax, unmap }

  static func run(rounds: Int) {
    let geometry = try! Stage2Geometry(pageSize: .size4K, ipaBits: 40)
    print("nanoseconds for each operation, the best of \(rounds) rounds")
    print("backend        population                  map    walk     age   relax   unmap")
    for population in Population.all() {
      report("traditional", population, rounds) { TraditionalStage2(geometry: geometry) }
      for keepsTree in [false, true] {
        var configuration = PKVMConfiguration(geometry: geometry)
        configuration.keepsMappingTree = keepsTree
        report(keepsTree ? "pKVM, tree" : "pKVM", population, rounds) { PKVMStage2(configuration) }
      }
    }
  }

  private static func report<Backend: Stage2Backend & ~Copyable>(
    _ name: String, _ population: Population, _ rounds: Int, make: () -> Backend
  ) {
    var best = [Double](repeating: .infinity, count: Phase.allCases.count)
    for _ in 0..<rounds {
      var backend = make()
      func time(_ phase: Phase, _ pages: [IPA], _ body: (inout Backend, IPA) -> Bool) {
        let start = ctb_cpu_nanoseconds()
        var done = 0
        for page in pages where body(&backend, page) { done += 1 }
        let taken = Double(ctb_cpu_nanoseconds() - start) / Double(pages.count)
        best[phase.rawValue] = min(best[phase.rawValue], taken)
        precondition(done == pages.count, "\(phase) went wrong")
      }
      time(.map, population.pages) {
        $0.fault($1)
        return true
      }
      time(.walk, population.shuffled) { $0.walk($1) != .invalid(level: .l3) }
      time(.age, population.shuffled) { $0.testClearYoung($1, size: 4096, markOld: true) }
      time(.relax, population.shuffled) { $0.relaxPerms($1, prot: .rwx).isSuccess }
      time(.unmap, population.shuffled) { $0.unmap($1, size: 4096).isSuccess }
    }
    let times = best.map { padded(one($0), 7) }.joined(separator: " ")
    print("\(name.padded(14)) \(population.name.padded(23)) \(times)")
  }
}
