namespace Lamina.SoftCpu.Fpu;

/// <summary>Floating-point arithmetic.</summary>
internal readonly struct FloatUse : IStubUse
{
    public static bool Mxcsr => true;

    public static bool FlagsIn => false;

    public static bool FlagsOut => false;

    public static bool Mmx => false;
}
