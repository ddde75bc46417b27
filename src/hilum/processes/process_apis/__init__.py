"""Process APIs: steps of a business process that programs ask for, whatever systems stand behind."""
