internal import ForeignStage2
internal import KVMTypes
package import Stage2Replay

/// How the calls are known that both sides of `patch` get: what a side makes of them is no more certain than they are.
package struct CallCertainty {
  private let byFunction: [StageCall.Function: Basis]
  private let all: Basis

  /// Of the calls of one replay.
  package init(_ result: ReplayResult) {
    let certainty = Certainty(result)
    byFunction = [
      .map: certainty.operations(.map), .unmap: certainty.operations(.unmap),
      .wrprotect: certainty.operations(.wrprotect), .testClearYoung: certainty.operations(.testClearYoung),
      .relaxPerms: certainty.operations(.relaxPerms), .mkyoung: certainty.operations(.mkyoung),
      .flush: certainty.operations(.flush), .split: certainty.operations(.split),
    ]
    all = certainty.hypercalls
  }

  /// Of how often a function is called. What it returns depends on the calls of the others, too.
  func calls(of function: StageCall.Function) -> Basis { byFunction[function] ?? all }

  /// Of what all calls together come to.
  var effects: Basis { all }
}
