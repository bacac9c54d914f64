"""Lists of the operations that an exported model may contain.

They are the operations of our graphs and similar harmless ones. `serving.load` refuses all others.
TensorFlow's own flags are no substitute: operations that read and write files count as "stateless" there.
"""

# Computations on tensors, control flow, assertions, and reading variables.
_SERVED = """
    Abs Acos Acosh AddN AddV2 All Angle ArgMax ArgMin Asin Asinh Assert Atan Atan2 Atanh AvgPool AvgPool3D
    AvgPoolGrad BatchMatMulV2 BatchMatMulV3 Betainc BiasAdd BiasAddGrad BiasAddV1 BitwiseAnd BitwiseOr BitwiseXor
    BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Cast Ceil ClipByValue Concat ConcatOffset ConcatV2
    Const Conv2D Conv2DBackpropFilter Conv2DBackpropFilterV2 Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D
    Conv3DBackpropFilterV2 Conv3DBackpropInputV2 Cos Cosh Cross Cumprod Cumsum DepthToSpace DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Diag DiagPart Digamma Div DivNoNan
    DynamicStitch Einsum Elu EluGrad EmptyTensorList EnsureShape Equal Erf Erfc Erfinv Exp ExpandDims Expm1
    FakeParam Fill Floor FloorDiv FloorMod FusedBatchNormGradV3 FusedBatchNormV3 GatherNd GatherV2 Greater
    GreaterEqual HistogramFixedWidth Identity IdentityN If Inv InvGrad InvertPermutation IsFinite IsInf IsNan L2Loss
    LRN LeakyRelu LeakyReluGrad LeftShift Less LessEqual Lgamma LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot
    LogicalOr MatMul MatrixBandPart Max MaxPool MaxPoolGrad MaxPoolGradGrad Maximum Mean Min Minimum MirrorPad
    MirrorPadGrad Mod Mul MulNoNan Ndtri Neg NextAfter NoOp NotEqual OneHot OnesLike Pack Pad PadV2
    ParallelDynamicStitch PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod Range Rank
    ReadVariableOp RealDiv Reciprocal ReciprocalGrad Relu Relu6 Relu6Grad ReluGrad Reshape ResizeNearestNeighbor
    ResizeNearestNeighborGrad ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt RsqrtGrad ScatterNd
    SegmentSum SelectV2 Selu SeluGrad Shape ShapeN Sigmoid SigmoidGrad Sign Sin Sinh Size Slice Softmax
    SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad SpaceToDepth
    SparseSoftmaxCrossEntropyWithLogits Split SplitV Sqrt SqrtGrad Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessIf StatelessMultinomial StatelessRandomBinomial StatelessRandomGammaV2
    StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormalV2
    StatelessRandomPoisson StatelessRandomUniformFullIntV2 StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormalV2 StatelessWhile StopGradient StridedSlice StridedSliceAssign StridedSliceGrad Sub Sum
    Tan Tanh TanhGrad TensorListConcatLists TensorListConcatV2 TensorListElementShape TensorListFromTensor
    TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListSetItem TensorListSplit TensorListStack TensorScatterAdd TensorScatterSub
    TensorScatterUpdate Tile TopKV2 Transpose Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentSum VarHandleOp Where While Xdivy Xlog1py Xlogy ZerosLike
"""
# Operations that TensorFlow adds to every SavedModel to save and restore variables; no signature uses them.
_SAVING = """
    AssignVariableOp DisableCopyOnRead MergeV2Checkpoints RestoreV2 SaveV2 Select ShardedFilename
    StaticRegexFullMatch StringJoin VarIsInitializedOp
"""
SERVED = frozenset(_SERVED.split())
SAVING = frozenset(_SAVING.split())
