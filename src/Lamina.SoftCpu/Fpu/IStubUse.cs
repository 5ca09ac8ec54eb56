namespace Lamina.SoftCpu.Fpu;

/// <summary>What a class of instructions needs around its stub; a type parameter, so that each class has its own handlers.</summary>
internal interface IStubUse
{
    /// <summary>It uses MXCSR and may raise SIMD exceptions.</summary>
    static abstract bool Mxcsr { get; }

    /// <summary>It reads status flags.</summary>
    static abstract bool FlagsIn { get; }

    /// <summary>It writes status flags.</summary>
    static abstract bool FlagsOut { get; }

    /// <summary>It has an MMX register operand.</summary>
    static abstract bool Mmx { get; }
}
