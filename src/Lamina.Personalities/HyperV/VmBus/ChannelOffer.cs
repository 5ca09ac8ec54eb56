namespace Lamina.Personalities.HyperV.VmBus;

/// <summary>How far a guest knows of a channel.</summary>
internal enum ChannelOffer : byte
{
    /// <summary>It does not.</summary>
    None,

    /// <summary>It may open it.</summary>
    Offered,

    /// <summary>It was told that the channel is no longer there, and has not given it back.</summary>
    Withdrawn,
}
