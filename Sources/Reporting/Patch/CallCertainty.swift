internal import ForeignStage2
internal import KVMTypes
internal import Stage2Model
package import Stage2Replay

/// How the calls are known that both sides of `patch` get: what a side makes of them is no more certain than they are, and what nothing
/// tells of them it does not tell either. By the rules of the report and of `compare`.
package struct CallCertainty {
  /// Whether what is mapped is known at all.
  let tellsTables: Bool
  private var functions: [OperationKind: Basis] = [:]
  private var hypercalls: [Hypercall: Basis] = [:]
  private let allHypercalls: Basis?
  private let state: Basis?
  private let all: Basis?

  /// Of the calls of one replay.
  package init(_ result: ReplayResult) {
    let certainty = Certainty(result)
    let effects = certainty.hypercalls
    tellsTables = certainty.tellsTables
    for kind in OperationKind.allCases where certainty.tells(kind) {
      functions[kind] = certainty.operations(kind)
    }
    for call in Hypercall.allCases where certainty.tells(call) { hypercalls[call] = effects }
    allHypercalls = certainty.tellsHypercalls ? effects : nil
    state = certainty.tellsTables ? effects : nil
    all = functions.count == OperationKind.allCases.count ? effects : nil
  }

  /// Of several replays together: a sum is known as its parts are, and not where one is not.
  init(_ parts: [Self]) {
    func weakest(_ basis: (Self) -> Basis?) -> Basis? {
      let known = parts.compactMap(basis)
      return known.count == parts.count ? known.max() : nil
    }
    tellsTables = parts.allSatisfy(\.tellsTables)
    for kind in OperationKind.allCases { functions[kind] = weakest { $0.functions[kind] } }
    for call in Hypercall.allCases { hypercalls[call] = weakest { $0.hypercalls[call] } }
    allHypercalls = weakest(\.allHypercalls)
    state = weakest(\.state)
    all = weakest(\.all)
  }

  /// Of how often a function is called; nil, like the others, where that is not known.
  func calls(of function: StageCall.Function) -> Basis? { function.kind.map { functions[$0] } ?? all }

  /// Of what the calls of a function return, which depends on those of the others, too.
  func results(of function: StageCall.Function) -> Basis? {
    calls(of: function).map { max($0, all ?? .assumed) }
  }

  /// Of what a side did or had at most: only all calls tell all of it.
  func effect(_ name: EffectNames.Name) -> Basis? {
    switch name.kind {
    case .hypercall: name.call.map { hypercalls[$0] } ?? all
    case .state: state
    case .warning, .panic, .maintenance, .memory: all
    }
  }

  /// Of all hypercalls together.
  var hypercallsTotal: Basis? { allHypercalls }

  /// Of what all calls together come to.
  var effects: Basis? { all }

  /// The functions and the hypercalls that it does not tell of.
  var untoldFunctions: [StageCall.Function] {
    StageCall.Function.allCases.filter { $0.kind != nil && calls(of: $0) == nil }
  }

  /// The hypercalls that it does not tell of.
  var untoldHypercalls: [Hypercall] { Hypercall.allCases.filter { hypercalls[$0] == nil } }
}

extension StageCall.Function {
  /// The operation of the replay that the call is; nil for one that only serves others.
  fileprivate var kind: OperationKind? {
    switch self {
    case .map: .map
    case .unmap: .unmap
    case .wrprotect: .wrprotect
    case .testClearYoung: .testClearYoung
    case .relaxPerms: .relaxPerms
    case .mkyoung: .mkyoung
    case .flush: .flush
    case .split: .split
    default: nil
    }
  }
}
