namespace Lamina.SoftCpu.Fpu;

/// <summary>Moves and integer arithmetic.</summary>
internal readonly struct PlainUse : IStubUse
{
    public static bool Mxcsr => false;

    public static bool FlagsIn => false;

    public static bool FlagsOut => false;

    public static bool Mmx => false;
}
