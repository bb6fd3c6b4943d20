public import KVMTrace
internal import KVMTypes

extension Replay {
  /// What a slice of `source` has to say of itself, so that it is replayed as the part is of the whole. Takes a pass over the trace.
  public static func slice(of source: some EventSource, _ part: TracePart) -> SliceMarker {
    let survey = SurveyedTrace(source, stated: nil, options: ReplayOptions()).survey
    var slice = SliceMarker()
    slice.from = part.from
    // Of a part that ends behind the last event nobody knows whether the recording went on.
    slice.to = part.to.flatMap { $0 <= max(survey.last, part.slice?.to ?? survey.last) ? $0 : nil }
    return slice
  }
}
