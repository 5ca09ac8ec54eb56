namespace Lamina.Machine.Input;

/// <summary>A guest's pointer that is told where it is, whichever way it reaches it. Any thread.</summary>
public interface IPointer
{
    /// <summary>Whether the guest has a driver for it that listens.</summary>
    bool IsListening { get; }

    /// <summary>Moves it, and says which buttons are down.</summary>
    /// <returns><c>false</c> if the guest has not yet taken what was said before, or does not listen.</returns>
    bool TrySend(PointerState state);
}
