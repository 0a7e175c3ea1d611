"""From a folder of clips to an answer: does a model need both sound and pictures, and does it use them?"""
