namespace Lamina.SoftCpu.Translate;

/// <summary>
/// Several accesses of a translation by the same registers, whose distances from each other are known when it is made. The range from the lowest to the highest byte is looked up once, at
/// the first of them; the others use the host address that was found.
/// </summary>
internal struct AccessWindow
{
    /// <summary>Windows of a translation at most.</summary>
    public const int Maximum = 16;

    /// <summary>Bytes of a window at most: wider ones would often lie in two pages.</summary>
    public const int MaximumSpan = 512;

    /// <summary>The access that looks it up.</summary>
    public int Leader;

    /// <summary>How many accesses it has.</summary>
    public int Count;

    /// <summary>Distance of its first byte from the sum of the registers at the translation's beginning, or its address if there are none.</summary>
    public long Low;

    /// <summary>The same of the byte behind its last one.</summary>
    public long High;

    /// <summary>Some of the accesses write.</summary>
    public bool Writes;

    /// <summary>The number under which its host address is kept (<see cref="ProcessorContext.Windows"/>), or -1 if it is not worth one.</summary>
    public int Number;

    /// <summary>More accesses may join: its registers have changed by nothing but known steps. Only while windows are looked for.</summary>
    public bool IsOpen;

    /// <summary>Bytes.</summary>
    public readonly int Span => (int)(High - Low);
}
