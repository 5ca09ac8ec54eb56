namespace Lamina.Interop.Events;

/// <summary>What a descriptor is ready for (EPOLLIN and so on; poll uses the same bits).</summary>
[Flags]
public enum Readiness : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Reading would not block.</summary>
    Readable = 0x1,

    /// <summary>Writing would not block.</summary>
    Writable = 0x4,

    /// <summary>An error is pending. Always reported.</summary>
    Error = 0x8,

    /// <summary>The other end has gone. Always reported.</summary>
    HangUp = 0x10,

    /// <summary>As an interest: one answer, then none until the interest is set again. Of a <see cref="Poller"/> only.</summary>
    Once = 0x4000_0000,
}
