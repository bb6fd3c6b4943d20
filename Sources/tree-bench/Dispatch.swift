import CTreeBench
import KVMTypes
import Stage2Model

/// What a function that is generic over `Stage2Backend` costs against one written for the type: `dispatch`.
///
/// The generic function is what a user of the library writes, in a module of its own. Beside it the same
/// function is measured with the compiler forbidden to specialise it.
enum Dispatch {
  static func run(rounds: Int) {
    print("backend       direct ns  generic ns   ratio   middle half   all rounds   unspecialised ratio")
    let geometry = try! Stage2Geometry(pageSize: .size4K, ipaBits: 40)
    let steps = Step.stream()
    report(
      "traditional", rounds, make: { TraditionalStage2(geometry: geometry) },
      direct: { backend in steps.count { Direct.apply($0, &backend) } },
      generic: { backend in steps.count { Generic.apply($0, &backend) } },
      unspecialised: { backend in steps.count { Unspecialised.apply($0, &backend) } })
    report(
      "pKVM", rounds, make: { PKVMStage2(PKVMConfiguration(geometry: geometry)) },
      direct: { backend in steps.count { Direct.apply($0, &backend) } },
      generic: { backend in steps.count { Generic.apply($0, &backend) } },
      unspecialised: { backend in steps.count { Unspecialised.apply($0, &backend) } })
  }

  private static func report<Backend: Stage2Backend & ~Copyable>(
    _ name: String, _ rounds: Int, make: () -> Backend, direct: (inout Backend) -> Int,
    generic: (inout Backend) -> Int, unspecialised: (inout Backend) -> Int
  ) {
    var answers: Set<Int> = []
    func time(_ body: (inout Backend) -> Int) -> Double {
      var backend = make()
      let start = ctb_cpu_nanoseconds()
      answers.insert(body(&backend))
      return Double(ctb_cpu_nanoseconds() - start) / Double(Step.count)
    }
    var times: [(direct: Double, generic: Double, unspecialised: Double)] = []
    for round in 0...rounds {
      // Each goes first in turn; the first round warms up.
      let before = round % 2 == 0 ? time(generic) : 0
      let directTime = time(direct)
      let genericTime = round % 2 == 0 ? before : time(generic)
      let unspecialisedTime = time(unspecialised)
      if round > 0 { times.append((directTime, genericTime, unspecialisedTime)) }
    }
    precondition(answers.count == 1, "the functions disagree")
    let ratios = Ascending(times.map { $0.generic / $0.direct })
    let others = Ascending(times.map { $0.unspecialised / $0.direct })
    print(
      """
      \(name.padded(12)) \(padded(one(times.map(\.direct).min()!), 10))  \
      \(padded(one(times.map(\.generic).min()!), 10))    \(two(ratios.median))   \(two(ratios[0.25])) - \
      \(two(ratios[0.75]))   \(two(ratios[0])) - \(two(ratios[1]))   \(two(others.median))
      """)
  }
}

/// One operation of the stream.
struct Step {
  enum Operation: UInt8 { case map, unmap, wrprotect, relaxPerms, mkyoung, testClearYoung, walk }

  static let count = 1_000_000

  let operation: Operation
  let ipa: IPA

  /// Faults, ageing and unmaps over a guest of 64 MiB.
  static func stream() -> [Step] {
    var random = Generator(state: 7)
    return (0..<count).map { _ in
      let draw = random.next()
      let operation: Operation =
        switch draw >> 32 % 16 {
        case 0..<7: .map
        case 7: .unmap
        case 8: .wrprotect
        case 9: .relaxPerms
        case 10: .mkyoung
        case 11, 12: .testClearYoung
        default: .walk
        }
      return Step(operation: operation, ipa: IPA((draw & 0x3fff) << 12))
    }
  }
}
