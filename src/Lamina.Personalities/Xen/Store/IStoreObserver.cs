namespace Lamina.Personalities.Xen.Store;

/// <summary>A part of the control domain that looks at what a guest writes.</summary>
internal interface IStoreObserver
{
    /// <summary>The path that it looks at.</summary>
    ReadOnlySpan<byte> Observed { get; }

    /// <summary>Something at or below the path has changed since the last call. On a processor's thread, with no lock held.</summary>
    void OnChanged();
}
