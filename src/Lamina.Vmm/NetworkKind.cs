namespace Lamina.Vmm;

/// <summary>What a network card is connected to.</summary>
public enum NetworkKind
{
    /// <summary>The host's network, through passt, without privileges.</summary>
    User,

    /// <summary>A tap interface.</summary>
    Tap,

    /// <summary>A bridge of the host, through a tap interface that is made for it.</summary>
    Bridge,
}
