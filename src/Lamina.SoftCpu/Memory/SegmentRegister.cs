namespace Lamina.SoftCpu.Memory;

/// <summary>Segment register numbers, as instructions encode them.</summary>
internal static class SegmentRegister
{
    public const int Es = 0;
    public const int Cs = 1;
    public const int Ss = 2;
    public const int Ds = 3;
    public const int Fs = 4;
    public const int Gs = 5;
}
