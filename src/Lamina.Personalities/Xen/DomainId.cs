namespace Lamina.Personalities.Xen;

/// <summary>Identifiers of domains. There are two: the guest, and the one whose part this process plays.</summary>
internal static class DomainId
{
    /// <summary>The control domain, "Dom0".</summary>
    internal const ushort Control = 0;

    /// <summary>The guest.</summary>
    internal const ushort Guest = 1;

    /// <summary>The caller, whoever it is.</summary>
    internal const ushort Self = 0x7ff0;

    /// <summary>Whether it means the guest.</summary>
    internal static bool IsGuest(ushort domain) => domain is Self or Guest;
}
