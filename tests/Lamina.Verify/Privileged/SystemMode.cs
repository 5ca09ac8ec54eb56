namespace Lamina.Verify.Privileged;

/// <summary>Mode in which a case begins.</summary>
internal enum SystemMode
{
    /// <summary>Any of the others.</summary>
    All,

    /// <summary>Protected mode, 16- and 32-bit code, with any paging or none.</summary>
    Protected,

    /// <summary>Compatibility mode, 16- and 32-bit code.</summary>
    Compatibility,

    /// <summary>64-bit mode.</summary>
    Long,

    /// <summary>Virtual-8086 mode.</summary>
    V86,
}
