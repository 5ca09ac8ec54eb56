namespace Lamina.Personalities.Xen;

/// <summary>Pages that a toolstack sets up before a domain starts: RAM that the guest's memory map says is reserved.</summary>
internal static class SpecialPages
{
    /// <summary>The ring of the store.</summary>
    internal const ulong Store = 0xd_0000;

    /// <summary>The ring of the console.</summary>
    internal const ulong Console = 0xd_1000;
}
