using System.Runtime.CompilerServices;

namespace Lamina.Verify.Legacy;

/// <summary>ES, CS, SS, DS, FS, GS.</summary>
[InlineArray(Count)]
internal struct SegmentValues
{
    public const int Count = 6;
    public const int Es = 0;
    public const int Cs = 1;
    public const int Ss = 2;
    public const int Ds = 3;
    private SegmentValue _first;
}
