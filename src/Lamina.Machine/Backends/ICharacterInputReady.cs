namespace Lamina.Machine.Backends;

/// <summary>Told that a serial port has room again.</summary>
public interface ICharacterInputReady
{
    /// <summary>On a vCPU thread: hand over to the event loop, do not wait.</summary>
    void OnInputReady();
}
