namespace Lamina.Personalities.HyperV;

/// <summary>Who takes the messages and events that guests send to connections.</summary>
internal interface IPartitionPort
{
    /// <summary>Takes a message. On a processor's thread.</summary>
    /// <returns><c>false</c> if there is no such connection.</returns>
    bool TryPostMessage(uint connection, uint type, ReadOnlySpan<byte> payload);

    /// <summary>Takes an event. On a processor's thread.</summary>
    /// <returns><c>false</c> if there is no such connection.</returns>
    bool TrySignalEvent(uint connection);

    /// <summary>A processor has made room for a message.</summary>
    void OnEndOfMessage();
}
