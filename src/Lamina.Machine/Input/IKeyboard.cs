namespace Lamina.Machine.Input;

/// <summary>A guest's keyboard, whichever way it reaches it. Any thread.</summary>
public interface IKeyboard
{
    /// <summary>Whether the guest has a driver for it that listens.</summary>
    bool IsListening { get; }

    /// <summary>Types on it.</summary>
    /// <returns><c>false</c> if the guest has not yet taken what was typed before, or does not listen.</returns>
    bool TrySend(KeyStroke stroke);
}
