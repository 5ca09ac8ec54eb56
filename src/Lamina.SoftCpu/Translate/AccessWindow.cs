namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Several accesses of a block by one base register, whose distances from each other are known when it is translated. The range from the lowest to the highest byte is looked up once, at
/// the first of them; the others use the host address that was found.
/// </summary>
internal struct AccessWindow
{
    /// <summary>Windows of a translation at most.</summary>
    public const int Maximum = 16;

    /// <summary>Bytes of a window at most: wider ones would often lie in two pages.</summary>
    public const int MaximumSpan = 512;

    /// <summary>The instruction that looks it up.</summary>
    public int Leader;

    /// <summary>How many accesses it has.</summary>
    public int Count;

    /// <summary>Distance of its first byte from the base register's value at the block's beginning, or its address if there is no base.</summary>
    public long Low;

    /// <summary>The same of the byte behind its last one.</summary>
    public long High;

    /// <summary>Some of the accesses write.</summary>
    public bool Writes;

    /// <summary>The number under which its host address is kept (<see cref="ProcessorContext.Windows"/>), or -1 if it is not worth one.</summary>
    public int Number;

    /// <summary>Bytes.</summary>
    public readonly int Span => (int)(High - Low);
}
