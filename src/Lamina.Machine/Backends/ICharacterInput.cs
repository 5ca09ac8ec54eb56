namespace Lamina.Machine.Backends;

/// <summary>The receiving side of a serial port, driven by a back end.</summary>
public interface ICharacterInput
{
    /// <summary>Offers bytes. On the event-loop thread.</summary>
    /// <returns>How many were taken; the rest is offered again after <see cref="ICharacterInputReady.OnInputReady"/>.</returns>
    int Receive(ReadOnlySpan<byte> data);

    /// <summary>Who is told when bytes that were refused may be offered again. Once, before start.</summary>
    void SetReadyTarget(ICharacterInputReady target);
}
